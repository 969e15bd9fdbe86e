//! Samples that were pushed to a node train as the whole set does.

use crate::registry::Registry;
use crate::scenario;
use hcddl_core::domain::work::{Train, UpdateKind};
use hcddl_core::domain::{NodeId, Params};
use hcddl_learn::engine::Engine;
use hcddl_learn::portion::Portion;
use hcddl_learn::{Learner, Split};

#[test]
fn a_portion_trains_and_evaluates_as_the_whole() {
    let registry = Registry::default();
    for data in ["digits", "{name: digits, validation: 0.1, limit_train: 700}", "blobs"] {
        let text = format!(
            "topology: flat(3)\nmodel: {{name: mlp, hidden: [16]}}\ndata: {data}\nseed: 5\npartition: dirichlet(0.5)"
        );
        let written = scenario::parse("test", &text, &[]).unwrap();
        let plan = scenario::resolve(&written, &registry).unwrap();
        let places: Vec<Option<u32>> = plan.nodes.iter().map(|node| node.shard).collect();
        let whole = Engine::new(&plan.learning, plan.seeds, &registry.learn, &places).unwrap();
        let holdings = written.holdings(&plan, &registry).unwrap();
        for (i, place) in places.iter().enumerate() {
            let own: Vec<u32> = place.iter().copied().collect();
            let bytes = Portion::of(&holdings, &own, own.is_empty()).to_bytes().unwrap();
            let part =
                Portion::from_bytes(&bytes).unwrap().holdings(&plan.learning, &registry.learn).unwrap();
            let part = Engine::of(part, &plan.learning, plan.seeds, &registry.learn, &places).unwrap();
            let (node, model) = (NodeId(i as u32), Params::new(whole.init(1)));
            if own.is_empty() {
                let model = model.values().unwrap();
                for split in [Split::Test, Split::Validation] {
                    assert_eq!(part.evaluate(model, split, 0), whole.evaluate(model, split, 0), "{data}");
                }
                continue;
            }
            assert_eq!(part.batches_per_epoch(node), whole.batches_per_epoch(node));
            let output = UpdateKind::Delta;
            let job = Train { model, opt: None, cursor: 3, steps: 4, output, lr_scale: 1.0 };
            assert_eq!(part.train(node, &job).unwrap(), whole.train(node, &job).unwrap(), "{data} node {i}");
            assert!(bytes.len() < holdings.data.train.len() * 700, "only its own samples");
        }
    }
}
