//! Invariant: what is sent arrives, equal and in order; a loss is told once to each end, a mere break to both.

use super::*;
use crate::transport::lab::{End, Proxy, identities, large, root, small, worker};
use hcddl_core::domain::{Seeds, Time, Token};
use hcddl_core::node::reliable::Reliable;
use hcddl_core::node::{Cx, Effect, Effects, Event, Node, NodeState};

async fn pair(run: &str, tls: bool) -> (End, End) {
    let [a, b] = if tls { identities(run) } else { [None, None] };
    let root = End::start(root(run, a)).await;
    let worker = End::start(worker(run, b, root.address())).await;
    (root, worker)
}

async fn both_lanes(run: &str, tls: bool) {
    let (mut root, mut worker) = pair(run, tls).await;
    for i in 1..=20 {
        root.send(1, small(i));
        root.send(1, large(i, 50_000));
        worker.send(0, large(i, 70_000));
        worker.send(0, small(i));
    }
    for (end, elements) in [(&mut root, 70_000), (&mut worker, 50_000)] {
        let (mut smalls, mut larges) = (0, 0);
        for _ in 0..40 {
            let message = end.message().await;
            match message.lane() {
                Lane::Control => {
                    smalls += 1;
                    assert_eq!(message, small(smalls));
                }
                Lane::Model => {
                    larges += 1;
                    assert_eq!(message, large(larges, elements));
                }
            }
        }
    }
    root.links.notice(NodeId(1), b"over".to_vec());
    assert_eq!(worker.word().await, "over from 0");
    assert!(root.links.traffic().sent > 20 * 200_000 && root.links.traffic().received > 20 * 280_000);
    assert_eq!(root.links.queued_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_equal_and_in_order_with_tls() {
    both_lanes("lanes-tls", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_equal_and_in_order_in_the_clear() {
    both_lanes("lanes", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_until_everything_has_arrived() {
    let (root, mut worker) = pair("close", true).await;
    root.links.notice(NodeId(1), b"lost: not yet connected".to_vec());
    let mut root = root;
    root.send(1, small(0));
    assert_eq!(worker.word().await, "0 from 0");
    for i in 1..=10 {
        root.send(1, large(i, 500_000));
    }
    root.links.notice(NodeId(1), b"the run is over".to_vec());
    let reader = tokio::spawn(async move {
        let mut words = Vec::new();
        for _ in 0..11 {
            words.push(worker.word().await);
        }
        words
    });
    root.links.close(crate::transport::lab::PATIENCE).await;
    let words = reader.await.unwrap();
    assert!(words.contains(&"the run is over from 0".to_owned()));
    assert_eq!(words.last().unwrap(), "10 from 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_starting_does_not_matter() {
    // An address that nobody listens on yet.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut worker = End::start(worker("order", None, address)).await;
    worker.send(0, small(1));
    worker.send(0, large(2, 10));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut root = End::start(LinksConfig { listen: Some(address), ..root("order", None) }).await;
    let mut words = [root.word().await, root.word().await];
    words.sort();
    assert_eq!(words, ["1 from 1", "2 from 1"], "and nothing else happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_come_is_lost_and_welcome_later() {
    let mut root =
        End::start(LinksConfig { start_timeout: Duration::from_millis(100), ..root("late", None) }).await;
    assert_eq!(root.word().await, "down 1");
    root.send(1, small(1));
    let mut worker = End::start(worker("late", None, root.address())).await;
    assert_eq!(root.word().await, "up 1");
    root.send(1, small(2));
    assert_eq!(worker.word().await, "2 from 0", "what was sent to a lost neighbour is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_a_loss_and_a_return() {
    let [a, b] = identities("restart");
    let mut root = End::start(root("restart", a)).await;
    let config = worker("restart", b, root.address());
    for life in 0..3 {
        let mut worker = End::start(LinksConfig { life, ..config.clone() }).await;
        if life > 0 {
            assert_eq!([root.word().await, root.word().await], ["down 1", "up 1"]);
        }
        root.send(1, small(u64::from(life)));
        assert_eq!(worker.word().await, format!("{life} from 0"));
        worker.send(0, large(7, 10));
        assert_eq!(root.word().await, "7 from 1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_a_loss_for_both_and_ends() {
    let mut root = End::start(root("silence", None)).await;
    let proxy = Proxy::to(root.address()).await;
    let mut worker = End::start(worker("silence", None, proxy.address)).await;
    root.send(1, small(1));
    assert_eq!(worker.word().await, "1 from 0");
    proxy.block(true);
    assert_eq!([root.word().await, worker.word().await], ["down 1", "down 0"]);
    root.send(1, large(2, 10));
    proxy.block(false);
    assert_eq!([root.word().await, worker.word().await], ["up 1", "up 0"]);
    root.send(1, small(3));
    assert_eq!(worker.word().await, "3 from 0");
}

/// Sends one message to the other end for each timer; remembers what it gets.
struct Talker {
    to: NodeId,
    heard: Heard,
}

impl Node for Talker {
    fn on(&mut self, _: &Cx, event: Event, out: &mut Effects) {
        match event {
            Event::Timer(token) if token.0 % 2 == 0 => out.send(self.to, small(token.0)),
            Event::Timer(token) => out.send(self.to, large(token.0, 40_000)),
            Event::Received { message, .. } => self.heard.lock().unwrap().push(message),
            other => panic!("{other:?}"),
        }
    }

    fn save(&self) -> NodeState {
        NodeState::Custom(Vec::new())
    }
}

type Heard = Arc<std::sync::Mutex<Vec<Message>>>;

/// Hands a node, in reliable delivery, what its links tell, and says something now and then; until both have heard
/// everything, since either may have to send something again.
async fn carry(mut end: End, me: u32, messages: u64, heard: [Heard; 2]) {
    let talker = Talker { to: NodeId(1 - me), heard: heard[me as usize].clone() };
    let mut node = Reliable::new(Box::new(talker), None, 0, None);
    let cx = Cx { now: Time::ZERO, me: NodeId(me), seeds: Seeds::all(1) };
    let mut said = 0;
    while heard.iter().any(|heard| heard.lock().unwrap().len() < messages as usize) {
        let event = tokio::select! {
            biased;
            input = end.inputs.recv() => match input.unwrap() {
                Input::Received { from, message, .. } => Event::Received { from, message },
                Input::Reconnected(node) => Event::Reconnected(node),
                other => panic!("{other:?}: a break is not a loss"),
            },
            () = tokio::time::sleep(Duration::from_millis(2)) => {
                if said == messages {
                    continue;
                }
                said += 1;
                Event::Timer(Token(said))
            }
        };
        let mut out = Effects::default();
        node.on(&cx, event, &mut out);
        for effect in out.0 {
            if let Effect::Send { to, message } = effect {
                end.send(to.0, message);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_lose_nothing_under_reliable_delivery() {
    const MESSAGES: u64 = 300;
    let [a, b] = identities("break");
    let patient = |config| LinksConfig { detection: crate::transport::lab::PATIENCE, ..config };
    let root = End::start(patient(root("break", a))).await;
    let proxy = Proxy::to(root.address()).await;
    let worker = End::start(patient(worker("break", b, proxy.address))).await;
    let heard = [0, 1].map(|_| Arc::new(std::sync::Mutex::new(Vec::new())));
    let ends = [
        tokio::spawn(carry(root, 0, MESSAGES, heard.clone())),
        tokio::spawn(carry(worker, 1, MESSAGES, heard.clone())),
    ];
    let enough = |heard: &Heard| heard.lock().unwrap().len() > 250;
    let mut cuts = 0;
    while !heard.iter().any(enough) {
        tokio::time::sleep(Duration::from_millis(150)).await;
        proxy.cut();
        cuts += 1;
    }
    for end in ends {
        tokio::time::timeout(crate::transport::lab::PATIENCE, end).await.unwrap().unwrap();
    }
    assert!(cuts >= 2, "{cuts} cuts");
    for heard in heard {
        let heard = heard.lock().unwrap();
        for lane in [Lane::Control, Lane::Model] {
            let numbers: Vec<u64> =
                heard.iter().filter(|m| m.lane() == lane).map(|m| m.head.version.0).collect();
            let first = if lane == Lane::Control { 2 } else { 1 };
            assert_eq!(numbers, (first..=MESSAGES).step_by(2).collect::<Vec<_>>(), "{lane:?}");
        }
    }
}

#[tokio::test]
async fn a_configuration_that_contradicts_itself_is_refused() {
    let deaf = LinksConfig { listen: None, ..root("deaf", None) };
    let refused =
        |config| async { Links::start(config, unbounded_channel().0).await.err().unwrap().to_string() };
    assert!(refused(deaf).await.contains("`worker 1` dials it, but it does not listen"));
    let own = LinksConfig { me: NodeId(1), ..root("own", None) };
    assert!(refused(own).await.contains("node 1 cannot be its neighbour"));
    let first = End::start(root("taken", None)).await;
    let second = LinksConfig { listen: first.links.listening(), ..root("taken", None) };
    assert!(refused(second).await.contains("is another process using the port?"));
}
