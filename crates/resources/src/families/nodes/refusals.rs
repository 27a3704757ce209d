//! What is said of changes of a node's network that are not of a run: when it refuses to go on, and in a plan beforehand.

use std::collections::BTreeSet;

use pve_executor::ports::ProviderError;

use super::change::{Change, listed};
use super::staged::{Foreign, see};
use crate::cluster::{Cluster, refused};

/// Nothing of this run is staged, and it stages nothing.
pub(super) fn beside_foreign(node: &str, foreign: &Foreign) -> ProviderError {
    if foreign.others.is_empty() {
        let message = format!(
            "an earlier run has staged changes of the network of {node} that this one is not about, and they would be \
             applied with it: {}",
            listed(&foreign.left)
        );
        let hint =
            "apply without -target, which completes them, or revert them in the network settings of the node";
        return refused(message, Some(hint));
    }
    let beside = also_staged("an earlier run", &foreign.left);
    let hint = if foreign.left.is_empty() { SETTLE } else { REVERT };
    refused(format!("{}{beside}", not_of_this_run(node, &foreign.others)), Some(hint))
}

pub(super) fn not_of_this_run(node: &str, others: &[Change]) -> String {
    format!(
        "changes of the network of {node} are staged that are not of this run, and would be applied with it: {}",
        listed(others)
    )
}

pub(super) const SETTLE: &str =
    "apply them or revert them in the network settings of the node, then apply again";

pub(super) const REVERT: &str = "revert all of it in the network settings of the node, then apply again, which stages its own changes anew";

/// What a plan has to be told of what is staged of a node: of whom it is, where apply refuses it. `None` where nothing is,
/// or it cannot be asked.
pub(crate) async fn remark_on_staged(
    cluster: &Cluster,
    node: &str,
    planned: Option<&BTreeSet<String>>,
) -> Option<String> {
    let changes = see(cluster, node).await.ok()??.changes;
    let found = Foreign::among(&changes, &cluster.shared.reloads.left(node), planned);
    if found.is_empty() {
        return None;
    }
    if found.others.is_empty() {
        return Some(format!(
            "apply refuses it as long as changes of the network of {node} are staged that an earlier run has left and this \
             plan is not about: {}; apply without -target completes them",
            listed(&found.left)
        ));
    }
    Some(format!(
        "apply refuses it as long as other changes of the network of {node} are staged: {}{}; {} in the network settings of \
         the node first",
        listed(&found.others),
        also_staged("an earlier run", &found.left),
        if found.left.is_empty() { "apply or revert them" } else { "revert all of it" },
    ))
}

/// What is staged beside what others have staged, for their error.
pub(super) fn also_staged(whose: &str, left: &[Change]) -> String {
    match left {
        [] => String::new(),
        left => format!("; {whose} has itself staged {}, which would be applied with them", listed(left)),
    }
}
