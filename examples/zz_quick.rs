#![allow(clippy::disallowed_methods, clippy::unwrap_used)]
use spinney::*;
use std::time::*;
fn main() {
    let dir = tempfile::tempdir_in("/work").unwrap();
    let n: usize = 100_000;
    let keys: Vec<String> = (0..n).map(|i| format!("/svc/{:04}/{:04}", i / 1000, i % 1000)).collect();
    let v = [b'x'; 64];
    for mode in ["mem", "process", "disk"] {
        let b = Store::builder();
        let p = dir.path().join(mode);
        let s = match mode {
            "mem" => Store::in_memory(),
            "process" => b.dir(&p).durability(Durability::Process).open().unwrap(),
            _ => b.dir(&p).open().unwrap(),
        };
        let cnt = if mode == "disk" { 3000 } else { n };
        for round in 0..3 {
            let t = Instant::now();
            for k in &keys[..cnt] {
                s.set(k, &v[..]).unwrap();
            }
            let e = t.elapsed();
            println!("{mode} round {round}: {:.0} sets/s", cnt as f64 / e.as_secs_f64());
        }
        if mode == "disk" {
            for threads in [16, 64] {
                let t = Instant::now();
                std::thread::scope(|sc| {
                    for th in 0..threads {
                        let s = &s;
                        let keys = &keys;
                        sc.spawn(move || {
                            for i in 0..2000usize {
                                s.set(&keys[(th * 1000 + i) % 100_000], &v[..]).unwrap();
                            }
                        });
                    }
                });
                println!("{threads} threads: {:.0}/s", (threads * 2000) as f64 / t.elapsed().as_secs_f64());
            }
            let t = Instant::now();
            let mut q = std::collections::VecDeque::new();
            for k in &keys {
                if q.len() == 256 {
                    let p: Pending<_> = q.pop_front().unwrap();
                    p.wait().unwrap();
                }
                q.push_back(s.put(k).value(&v[..]).submit());
            }
            for p in q {
                p.wait().unwrap();
            }
            println!("submit: {:.0}/s", n as f64 / t.elapsed().as_secs_f64());
        }
        if mode == "mem" {
            for threads in [1, 2] {
                let t = Instant::now();
                std::thread::scope(|sc| {
                    for th in 0..threads {
                        let s = &s;
                        let keys = &keys;
                        sc.spawn(move || {
                            let mut x = 88172645463325252u64 + th;
                            let mut sum = 0;
                            for _ in 0..2_000_000 {
                                x ^= x << 13;
                                x ^= x >> 7;
                                x ^= x << 17;
                                sum += s.get(&keys[(x % 100_000) as usize]).unwrap().value().len();
                            }
                            assert!(sum > 0)
                        });
                    }
                });
                println!("get {threads} threads: {:.2}M/s", threads as f64 * 2.0 / t.elapsed().as_secs_f64());
            }
        }
    }
    // raw
    use std::os::unix::fs::FileExt;
    let f = std::fs::File::create(dir.path().join("raw")).unwrap();
    f.write_all_at(&vec![0; 1 << 20], 0).unwrap();
    f.sync_all().unwrap();
    let t = Instant::now();
    for i in 0..3000u64 {
        f.write_all_at(&[1; 128], (i * 128) % (1 << 20)).unwrap();
        f.sync_data().unwrap();
    }
    println!("raw: {:.0}/s", 3000.0 / t.elapsed().as_secs_f64());
}
