//! One ractor actor around one node. It keeps the node, hands it events and passes its effects on; it decides
//! nothing.

use crate::run::RunError;
use crate::run::runner::Runner;
use hcddl_core::domain::NodeId;
use hcddl_core::node::{Cx, Effects, Event, Node, NodeState};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What the carrier of a node is asked.
pub enum Call {
    /// Handle this event; the buffer comes back with the effects.
    Handle(Cx, Event, Effects),
    /// Say everything you know.
    Save,
}

// It never leaves its process.
impl ractor::Message for Call {}

/// What it answers.
pub enum Answer {
    Effects(Effects),
    State(Box<NodeState>),
    /// The actor is gone.
    Gone,
}

/// The actor around one node.
struct Carrier {
    answers: UnboundedSender<Answer>,
}

/// Reports the end of its actor, even when that is a panic.
struct Guarded {
    node: Box<dyn Node>,
    answers: UnboundedSender<Answer>,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The receiver is gone when the whole run ends.
        let _ = self.answers.send(Answer::Gone);
    }
}

impl Actor for Carrier {
    type Msg = Call;
    type State = Guarded;
    type Arguments = Box<dyn Node>;

    async fn pre_start(&self, _: ActorRef<Call>, node: Box<dyn Node>) -> Result<Guarded, ActorProcessingErr> {
        Ok(Guarded { node, answers: self.answers.clone() })
    }

    async fn handle(
        &self,
        _: ActorRef<Call>,
        call: Call,
        state: &mut Guarded,
    ) -> Result<(), ActorProcessingErr> {
        let answer = match call {
            Call::Handle(cx, event, mut effects) => {
                state.node.on(&cx, event, &mut effects);
                Answer::Effects(effects)
            }
            Call::Save => Answer::State(Box::new(state.node.save())),
        };
        self.answers.send(answer)?;
        Ok(())
    }
}

/// Carries each node in an actor of its own; the conductor talks to one at a time.
pub struct Actors {
    actors: Vec<Option<ActorRef<Call>>>,
    answers: UnboundedReceiver<Answer>,
    sender: UnboundedSender<Answer>,
}

impl Default for Actors {
    /// No actors yet.
    fn default() -> Self {
        let (sender, answers) = unbounded_channel();
        Self { actors: Vec::new(), answers, sender }
    }
}

impl Actors {
    async fn ask(&mut self, id: NodeId, call: Call) -> Result<Option<Answer>, RunError> {
        let Some(Some(actor)) = self.actors.get(id.index()) else { return Ok(None) };
        if actor.cast(call).is_err() {
            return Err(RunError::ActorDied(id));
        }
        match self.answers.recv().await {
            Some(Answer::Gone) | None => Err(RunError::ActorDied(id)),
            answer => Ok(answer),
        }
    }
}

impl Runner for Actors {
    async fn handle(&mut self, cx: Cx, event: Event, out: &mut Effects) -> Result<(), RunError> {
        let call = Call::Handle(cx, event, std::mem::take(out));
        if let Some(Answer::Effects(effects)) = self.ask(cx.me, call).await? {
            *out = effects;
        }
        Ok(())
    }

    async fn place(&mut self, id: NodeId, node: Box<dyn Node>) -> Result<(), RunError> {
        if self.actors.len() <= id.index() {
            self.actors.resize_with(id.index() + 1, || None);
        }
        // Names are process-wide in ractor, and several runs may share the process: none is given.
        let carrier = Carrier { answers: self.sender.clone() };
        let (actor, _) = Actor::spawn(None, carrier, node).await.map_err(|_| RunError::ActorDied(id))?;
        self.actors[id.index()] = Some(actor);
        Ok(())
    }

    async fn remove(&mut self, id: NodeId) {
        if let Some(Some(actor)) = self.actors.get_mut(id.index()).map(Option::take) {
            actor.kill();
            // Its guard says when it is gone.
            let _ = self.answers.recv().await;
        }
    }

    async fn save(&mut self, id: NodeId) -> Result<Option<NodeState>, RunError> {
        match self.ask(id, Call::Save).await? {
            Some(Answer::State(state)) => Ok(Some(*state)),
            _ => Ok(None),
        }
    }
}
