//! What goes between members, in the words of `/v2/stats`.
//!
//! As in etcd a follower's latency is in milliseconds and counts from when the server was opened. It is the time until entries are
//! durable with the follower, where etcd tells how long it takes to hand them to a connection.

use super::front::Front;
use crate::types::MemberId;

/// What this server knows of it; a store that is alone sends nothing.
#[derive(Default)]
pub(super) struct Traffic {
    #[cfg(feature = "cluster")]
    told: crate::traffic::Traffic,
}

impl Front {
    #[cfg(feature = "cluster")]
    pub(super) fn traffic(&self) -> Traffic {
        self.store().cluster().map_or_else(Traffic::default, |cluster| Traffic { told: cluster.traffic() })
    }

    #[cfg(not(feature = "cluster"))]
    #[allow(clippy::unused_self, reason = "with the feature, it knows")]
    pub(super) fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

#[cfg(feature = "cluster")]
impl Traffic {
    /// Adds what was sent and received to an object; rates of 0 are left out, as etcd does.
    pub(super) fn tell(&self, out: &mut Vec<u8>) {
        let crate::traffic::Traffic { received, sent, .. } = &self.told;
        for (flow, name, comma) in [(received, "recv", ""), (sent, "send", ",")] {
            out.extend_from_slice(format!("{comma}\"{name}AppendRequestCnt\":{}", flow.messages).as_bytes());
            for (rate, what) in
                [(flow.messages_per_second, "PkgRate"), (flow.bytes_per_second, "BandwidthRate")]
            {
                if rate > 0.0 {
                    out.extend_from_slice(format!(",\"{name}{what}\":{rate}").as_bytes());
                }
            }
        }
    }

    /// What there is to say of one follower, as an object.
    pub(super) fn follower(&self, member: MemberId) -> String {
        let follower = self.told.followers.get(&member).copied().unwrap_or_default();
        let crate::traffic::Latency { current, average, standard_deviation, minimum, maximum, .. } =
            follower.latency;
        let [current, average, deviation, minimum, maximum] =
            [current, average, standard_deviation, minimum, maximum].map(|took| took.as_secs_f64() * 1e3);
        format!(
            "{{\"latency\":{{\"current\":{current},\"average\":{average},\"standardDeviation\":{deviation},\
             \"minimum\":{minimum},\"maximum\":{maximum}}},\"counts\":{{\"fail\":{},\"success\":{}}}}}",
            follower.failed, follower.acknowledged
        )
    }
}

#[cfg(not(feature = "cluster"))]
#[allow(clippy::unused_self, reason = "with the feature, it knows")]
impl Traffic {
    pub(super) fn tell(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"recvAppendRequestCnt\":0,\"sendAppendRequestCnt\":0");
    }

    pub(super) fn follower(&self, _: MemberId) -> String {
        String::from("{}")
    }
}
