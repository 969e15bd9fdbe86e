//! Whatever the network does: once, in order, and nobody waits for what nobody keeps.

use super::*;
use crate::domain::{Seeds, Time, Version};
use crate::node::bond::{Bond, Change};
use proptest::prelude::*;
use std::collections::VecDeque;

/// Sends what it is told by timers, and remembers what it gets.
struct Echo(Vec<u64>);

impl Node for Echo {
    fn on(&mut self, _: &Cx, event: Event, out: &mut Effects) {
        match event {
            Event::Timer(token) => {
                let head = Head { version: Version(token.0), ..Head::default() };
                out.send(NodeId(1), Message::control(Kind::new("n"), head));
            }
            Event::Received { message, .. } => self.0.push(message.head.version.0),
            _ => {}
        }
    }
    fn save(&self) -> NodeState {
        NodeState::Custom(self.0.iter().map(|v| *v as u8).collect())
    }
}

fn got(node: &Reliable) -> Vec<u8> {
    match node.save() {
        NodeState::Reliable(both) => match both.1 {
            NodeState::Custom(bytes) => bytes,
            _ => unreachable!(),
        },
        _ => unreachable!(),
    }
}

fn step(node: &mut Reliable, event: Event) -> Vec<Effect> {
    let cx = Cx { now: Time::ZERO, me: NodeId(0), seeds: Seeds::all(1) };
    let mut out = Effects::default();
    node.on(&cx, event, &mut out);
    out.0
}

fn sent(effects: &[Effect]) -> Vec<Message> {
    effects
        .iter()
        .filter_map(|e| match e {
            Effect::Send { message, .. } => Some(message.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn delivers_once_and_in_order_whatever_the_network_does() {
    let node = |_| Reliable::new(Box::new(Echo(vec![])), Some(Span::from_millis(1)), 0, None);
    let (mut a, mut b) = (node(0), node(1));
    let messages: Vec<Message> = (1..=4).flat_map(|i| sent(&step(&mut a, Event::Timer(Token(i))))).collect();
    for i in [2, 0, 0, 3, 2, 1, 1] {
        let acks = sent(&step(&mut b, Event::Received { from: NodeId(0), message: messages[i].clone() }));
        for message in acks {
            step(&mut a, Event::Received { from: NodeId(1), message });
        }
    }
    assert_eq!(got(&b), [1, 2, 3, 4]);
    assert!(a.state.timers.is_empty(), "everything is acknowledged");
}

#[test]
fn resends_until_acknowledged_and_starts_anew_after_a_loss() {
    let mut a = Reliable::new(Box::new(Echo(vec![])), Some(Span::from_millis(1)), 0, None);
    let first = step(&mut a, Event::Timer(Token(7)));
    let [Effect::Send { message, .. }, Effect::SetTimer { token, after }] = &first[..] else {
        panic!("{first:?}");
    };
    let again = step(&mut a, Event::Timer(*token));
    let twice = Effect::SetTimer { token: *token, after: after.times(2) };
    let send = Effect::Send { to: NodeId(1), message: message.clone() };
    assert_eq!(again, [count("resends"), send, twice]);
    assert_eq!(step(&mut a, Event::Down(NodeId(1))), [Effect::ClearTimer(*token)]);
    assert_eq!(step(&mut a, Event::Timer(Token(7))), [], "nothing is sent to one that is lost");
    assert_eq!(step(&mut a, Event::Up(NodeId(1))), []);
    let anew = sent(&step(&mut a, Event::Timer(Token(8))));
    assert!(anew[0].sequence > message.sequence && anew[0].sequence & 0xFFFF_FFFF == 1);
}

#[test]
fn without_timers_it_resends_when_the_connection_is_there_again() {
    let mut a = Reliable::new(Box::new(Echo(vec![])), None, 0, None);
    let messages: Vec<Message> = (1..=3).flat_map(|i| sent(&step(&mut a, Event::Timer(Token(i))))).collect();
    assert!(a.state.timers.is_empty());
    let receipt = Receipt { sequence: messages[0].sequence, lane: Lane::Control };
    step(&mut a, Event::Received { from: NodeId(1), message: receipt.message() });
    assert_eq!(sent(&step(&mut a, Event::Reconnected(NodeId(1)))), messages[1..]);
    step(&mut a, Event::Down(NodeId(1)));
    assert_eq!(step(&mut a, Event::Reconnected(NodeId(1))), []);
}

/// Two ends and the stream between them: a connection brings everything in order until it breaks.
struct Wire {
    ends: [Reliable; 2],
    bonds: [Bond; 2],
    lives: [u32; 2],
    connected: bool,
    under_way: [VecDeque<Message>; 2],
    /// From before the first meeting of an end.
    waiting: [Vec<Message>; 2],
    said: u64,
    /// What each end said since its last loss, while it took the other for there.
    promised: [Vec<u8>; 2],
}

impl Wire {
    fn new() -> Self {
        let end = |_| Reliable::new(Box::new(Echo(vec![])), None, 0, None);
        Self {
            ends: [end(0), end(1)],
            bonds: [Bond::with(0), Bond::with(0)],
            lives: [0, 0],
            connected: true,
            under_way: Default::default(),
            waiting: Default::default(),
            said: 0,
            promised: Default::default(),
        }
    }

    fn tell(&mut self, end: usize, event: Event) {
        let effects = step(&mut self.ends[end], event);
        if self.connected {
            self.under_way[end].extend(sent(&effects));
        } else if !self.bonds[end].has_met() && !self.bonds[end].is_down() {
            self.waiting[end].extend(sent(&effects));
        }
    }

    /// Each end calls the other node 1: `Echo` sends to that one.
    fn say(&mut self, end: usize) {
        self.said = self.said % 255 + 1;
        if !self.bonds[end].is_down() {
            self.promised[end].push(self.said as u8);
        }
        self.tell(end, Event::Timer(Token(self.said)));
    }

    fn arrive(&mut self, at: usize) -> bool {
        let Some(message) = self.under_way[1 - at].pop_front() else { return false };
        self.tell(at, Event::Received { from: NodeId(1), message });
        true
    }

    fn cut(&mut self) {
        self.connected = false;
        self.under_way = Default::default();
    }

    fn change(&mut self, end: usize, changes: &[Change]) {
        for change in changes {
            if *change == Change::Down {
                // What either of them has said is void: the other will not hear it, or has heard it already.
                self.promised[end].clear();
            }
            self.tell(
                end,
                match change {
                    Change::Down => Event::Down(NodeId(1)),
                    Change::Up => Event::Up(NodeId(1)),
                    Change::Reconnected => Event::Reconnected(NodeId(1)),
                },
            );
        }
    }

    fn lose(&mut self, end: usize) {
        self.cut();
        self.waiting[end].clear();
        let changes = self.bonds[end].lose();
        self.change(end, changes);
    }

    fn restart(&mut self, end: usize) {
        self.cut();
        self.lives[end] += 1;
        self.ends[end] = Reliable::new(Box::new(Echo(vec![])), None, self.lives[end], None);
        self.bonds[end] = Bond::default();
        self.waiting[end].clear();
        self.promised[end].clear();
    }

    /// They connect; what `seen` does not see breaks before it knows of it.
    fn meet(&mut self, seen: [bool; 2]) {
        self.cut();
        let standings = [0, 1].map(|end: usize| self.bonds[end].standing(self.lives[end]));
        self.connected = seen == [true, true];
        for end in (0..2).filter(|end| seen[*end]) {
            let changes = self.bonds[end].meet(standings[1 - end]);
            self.change(end, changes);
            let waiting = std::mem::take(&mut self.waiting[end]);
            if self.connected {
                self.under_way[end].extend(waiting);
            }
        }
    }
}

proptest! {
    /// Whatever breaks, gets lost or starts anew: once the two ends are connected, everything that was said since
    /// the last loss arrives, once and in order, and so does what is said next.
    #[test]
    fn after_any_loss_nobody_waits_for_what_nobody_keeps(
        steps in proptest::collection::vec((0..9_u8, 0..2_usize), 0..80),
    ) {
        let mut wire = Wire::new();
        for (step, end) in steps {
            match step {
                0..=2 => wire.say(end),
                3 | 4 => { wire.arrive(end); }
                5 => wire.cut(),
                6 => wire.lose(end),
                7 => wire.restart(end),
                _ => wire.meet([end == 0, end == 1]),
            }
        }
        wire.meet([true, true]);
        wire.say(0);
        wire.say(1);
        while wire.arrive(0) | wire.arrive(1) {}
        for end in 0..2 {
            let heard = got(&wire.ends[1 - end]);
            prop_assert!(heard.ends_with(&wire.promised[end]), "{:?} of {heard:?}", wire.promised[end]);
            let mut once = heard.clone();
            once.dedup();
            prop_assert_eq!(once, heard);
        }
    }
}
