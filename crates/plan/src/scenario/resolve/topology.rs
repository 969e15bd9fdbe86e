//! The topology, inline or from a file of its own.

use super::Resolver;
use crate::scenario::Source;
use crate::scenario::file::Pick;
use hcddl_core::error::UserError;
use hcddl_core::topology::Topology;
use serde_json::Value;

pub(super) fn build(cx: &Resolver<'_>, file: Option<&(Value, Source)>) -> Result<Topology, UserError> {
    let Some((value, source)) = file else {
        return cx.build(&cx.registry.topologies, &cx.file.topology, "topology").map(|built| built.0);
    };
    let inside = Resolver { source, file: cx.file, registry: cx.registry, warnings: vec![], codecs: vec![] };
    inside.build(&cx.registry.topologies, &Pick(value.clone()), "").map(|built| built.0)
}
