//! What may be lost for good without anything going with it.
//!
//! A cluster survives the loss of a minority. Which minority depends on who the members are, and that may be about to
//! change: so a disk may go only if what is left is a quorum of every configuration that is in force somewhere, or that
//! may yet come to be. While three voters become two, none of the two can be spared: they are all of the new majority.

use std::collections::BTreeSet;

use spinney::MemberId;
use spinney::internals::entry::Config;
use spinney::internals::raft::{Message, Request};

use super::invariants::Image;
use super::machine::Condition;
use super::network::Place;
use super::steps::open_frame;
use super::world::{Event, World};

impl World {
    /// Whether the data of the machine at `place` may go for good, and the cluster go on without it.
    pub(super) fn can_spare(&self, place: Place) -> bool {
        let victim = self.machines[place.0].member();
        let survives = |member: MemberId| {
            let place = self.places.get(&member).filter(|_| member != victim);
            place.is_some_and(|place| self.can_be_counted_on(*place))
        };
        let configs = self.possible_configs();
        self.is_dependable(place)
            && configs.first().is_some_and(|newest| newest.contains(victim))
            && configs.iter().all(|config| tolerates(config, survives))
    }

    /// Whether nothing is known to be wrong with a machine for good.
    pub(super) fn is_dependable(&self, place: Place) -> bool {
        let machine = &self.machines[place.0];
        machine.condition == Condition::Sound && !machine.stopped
    }

    /// Whether a machine is not only sound, but will also not stop by itself.
    pub(super) fn can_be_counted_on(&self, place: Place) -> bool {
        self.is_dependable(place) && !self.machines[place.0].may_be_outlived()
    }

    /// The newest committed configuration, and all that may follow it. None when that cannot be told: somebody has asked
    /// for a change, and was not heard yet.
    fn possible_configs(&self) -> Vec<Config> {
        let (index, newest) = self.newest_config();
        let is_asked = self.events.values().any(|event| {
            matches!(event, Event::Arrive(frame) if open_frame(&frame.bytes).is_some_and(|envelope| {
                matches!(envelope.message, Message::Ask { request: Request::Change { .. }, .. })
            }))
        });
        if is_asked || newest.voters.is_empty() {
            return Vec::new();
        }
        let mut configs = vec![newest.clone()];
        for machine in self.machines.iter().filter(|machine| self.is_dependable(machine.place)) {
            let in_memory = machine.replica.iter().map(|replica| replica.raft());
            configs.extend(
                in_memory.filter(|raft| raft.config_index() > index).map(|raft| raft.config().clone()),
            );
            // What was overwritten in memory may be found on the disk again, and what was not synced may be lost.
            for disk in [machine.disk.clone(), machine.disk.durable()] {
                let image = Image::read(&disk).unwrap_or_default();
                configs.extend(
                    image.configs.into_iter().filter(|(at, _)| *at > index).map(|(_, config)| config),
                );
            }
        }
        // Joint ones are left without anybody asking.
        let left = configs.iter().filter(|config| config.is_joint());
        let left: Vec<Config> =
            left.map(|joint| Config { outgoing: BTreeSet::new(), ..joint.clone() }).collect();
        configs.extend(left);
        configs
    }
}

/// Whether those who survive can decide by `config`.
fn tolerates(config: &Config, survives: impl Fn(MemberId) -> bool) -> bool {
    [&config.voters, &config.outgoing].into_iter().filter(|half| !half.is_empty()).all(|half| {
        let left = half.iter().filter(|member| survives(**member));
        left.count() * 2 > half.len()
    })
}

#[cfg(test)]
mod tests {
    use spinney::internals::BootId;
    use spinney::internals::raft::Change;
    use spinney::internals::replica::Input;

    use super::super::plan::{Faults, MS, Plan, SECOND};
    use super::*;

    fn config(voters: &[u64], outgoing: &[u64]) -> Config {
        let members = |members: &[u64]| members.iter().copied().map(MemberId::new).collect();
        Config { voters: members(voters), outgoing: members(outgoing), ..Config::default() }
    }

    #[test]
    fn both_halves_of_a_change_need_their_majority() {
        let without = |lost: &'static [u64]| move |member: MemberId| !lost.contains(&member.get());
        assert!(tolerates(&config(&[1, 2, 3], &[]), without(&[2])));
        assert!(!tolerates(&config(&[1, 2, 3], &[]), without(&[2, 3])));
        assert!(tolerates(&config(&[1, 2, 3, 4, 5], &[]), without(&[2, 3])));
        assert!(!tolerates(&config(&[1, 2], &[1, 2, 3]), without(&[2])), "two voters are both needed");
        assert!(tolerates(&config(&[1, 2], &[1, 2, 3]), without(&[3])));
        assert!(!tolerates(&config(&[1, 2, 3], &[1, 2]), without(&[2])), "so are two who are being joined");
    }

    /// A calm cluster of three.
    fn three() -> World {
        let mut plan = Plan::of(1, &Faults(BTreeSet::new()));
        (plan.founders, plan.latency) = (3, MS);
        let mut world = World::new(plan);
        world.run_until(4 * SECOND);
        world
    }

    #[test]
    fn one_of_three_can_be_spared_and_then_no_other() {
        let mut world = three();
        assert!((0..3).all(|at| world.can_spare(Place(at))));
        world.machines[1].condition = Condition::Lost;
        assert!((0..3).all(|at| !world.can_spare(Place(at))));
    }

    #[test]
    fn who_may_read_of_a_later_life_of_its_own_is_not_counted_on() {
        let mut world = three();
        world.machines[1].lost_life = BootId::new(u64::MAX);
        assert!(!world.can_spare(Place(0)) && world.can_spare(Place(1)));
    }

    #[test]
    fn nobody_can_be_spared_while_a_change_is_on_its_way() {
        let mut world = three();
        let leads = |world: &World, at: usize| {
            let replica = world.machines[at].replica.as_ref();
            replica.is_some_and(|replica| replica.raft().leader() == Some(replica.raft().id()))
        };
        let follower = (0..3).find(|at| !leads(&world, *at)).expect("only one leads");
        let changes = vec![Change::Remove(MemberId::new(3))];
        let request = Request::Change { changes, expected: None };
        world.step(Place(follower), Input::Ask { token: 1, request });
        assert!((0..3).all(|at| !world.can_spare(Place(at))), "the leader has not heard of it");
        // Before the administrator makes up for the member that has gone.
        let end = world.now + SECOND;
        while world.newest_config().1.voters.len() > 2 {
            assert!(world.now < end, "nobody was removed");
            world.run_until(world.now + MS);
        }
        assert!((0..2).all(|at| !world.can_spare(Place(at))), "the two that stay are needed");
    }
}
