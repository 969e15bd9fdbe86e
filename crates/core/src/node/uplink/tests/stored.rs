//! What is kept of an uplink.

use super::*;
use insta::assert_snapshot;

/// The stored form is that of older checkpoints, whatever the uplink is at; it goes on from it as if nothing had been.
#[test]
fn it_is_stored_as_before_and_goes_on() {
    let config =
        UplinkConfig { codec_up: Some(0), codec_down: Some(0), ..config(UplinkPlan { wait: false, ..PLAN }) };
    let mut talk = Talk::new(config.clone(), UpdateKind::Delta);
    let mut forms = Vec::new();
    let mut look = |talk: &mut Talk| {
        let stored = serde_json::to_value(talk.uplink.save()).unwrap();
        let read = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(read, talk.uplink.save());
        talk.uplink = Uplink::new(config.clone(), UpdateKind::Delta, &talk.model, Some(read));
        forms.push(stored);
    };
    look(&mut talk);
    talk.gives("a").hears(assign(1, 0, coded(&[1.0])));
    look(&mut talk);
    talk.folds(true).ends(1);
    look(&mut talk);
    talk.folds(false).commits(3.0, None);
    look(&mut talk);
    talk.ends(2);
    look(&mut talk);
    talk.ends(3).commits(4.0, None).hears(assign(2, 0, coded(&[2.0]))).ends(4);
    look(&mut talk);
    assert_snapshot!(talk.text, @r"
    > a is to have the model: it waits
    > root: ASSIGN v1 root v1 model ~[1.0]
    < j1 decode ~[1.0]
    > a fold starts
    > j1 decoded [1.0]
    > the fold is over
    = adopt [1.0] a
    > commit [3.0]
    < j2 sum of 1 x [3.0], -1 x [1.0]
    > j2 folded to [3.0], aggregate [2.0]
    < j3 code [2.0]
    > j3 coded ~[2.0], left Some([0.0])
    < root: UPDATE v1 base v1 root v1 clock 7 samples 20 steps 1 loss 0.5 delta ~[2.0]
    > commit [4.0]
    > root: ASSIGN v2 root v2 model ~[2.0]
    < j4 decode ~[2.0]
    > j4 decoded [2.0]
    < j5 sum of 1 x [2.0], 1 x [4.0], -1 x [3.0]
    ");
    let names: Vec<&str> = forms[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_snapshot!(names.join("\n"), @r"
    parent_version
    root_version
    life
    open
    gate_closed
    gated
    requested
    unanswered
    answers
    commits
    merging
    milestone
    towards
    pushing
    due
    adopting
    deferred
    mixing
    residual
    pushes
    ");
    let of = |name: &str| forms.iter().map(|form| form[name].to_string()).collect::<Vec<_>>().join("\n");
    let kept = ["gate_closed", "gated", "adopting", "deferred", "mixing", "towards", "pushing"];
    assert_snapshot!(kept.map(|name| format!("{name}\n{}", of(name))).join("\n"), @r#"
    gate_closed
    true
    true
    true
    false
    false
    false
    gated
    {}
    {"2":{"steps":0}}
    {"2":{"steps":0}}
    {}
    {}
    {}
    adopting
    null
    [1,{"version":1,"base":0,"root":1,"clock":0,"samples":0,"steps":0,"part":0,"loss":0.0}]
    null
    null
    null
    [5,{"version":2,"base":0,"root":2,"clock":0,"samples":0,"steps":0,"part":0,"loss":0.0}]
    deferred
    null
    null
    [{"len":1,"values":[1.0]},{"version":1,"base":0,"root":1,"clock":0,"samples":0,"steps":0,"part":0,"loss":0.0}]
    null
    null
    null
    mixing
    false
    false
    false
    false
    false
    true
    towards
    null
    null
    null
    null
    null
    {"len":1,"values":[2.0]}
    pushing
    null
    null
    null
    [2,"Combining",{"version":1,"base":1,"root":1,"clock":7,"samples":20,"steps":1,"part":0,"loss":0.5}]
    [3,"Encoding",{"version":1,"base":1,"root":1,"clock":7,"samples":20,"steps":1,"part":0,"loss":0.5}]
    null
    "#);
}
