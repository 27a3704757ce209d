//! What an action does to its object in one step, and the sentences that tell of it.

use std::fmt;

/// One step: what is done, to the object as a whole or to a part of it. It is shown as it stands in the log, and
/// recovery finds it there: a name that changes is one that older logs do not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step<'a> {
    verb: &'static str,
    part: Option<&'a str>,
}

impl Step<'static> {
    pub(crate) const APPLY: Self = Step::whole("apply");
    pub(crate) const CHANGE: Self = Step::whole("change");
    pub(crate) const CLONE: Self = Step::whole("clone");
    pub(crate) const CONFIGURE: Self = Step::whole("configure");
    pub(crate) const CREATE: Self = Step::whole("create");
    pub(crate) const DELETE: Self = Step::whole("delete");
    pub(crate) const DESTROY: Self = Step::whole("destroy");
    pub(crate) const DOWNLOAD: Self = Step::whole("download");
    pub(crate) const FIND: Self = Step::whole("find");
    pub(crate) const MIGRATE: Self = Step::whole("migrate");
    pub(crate) const PULL: Self = Step::whole("pull");
    pub(crate) const READ: Self = Step::whole("read");
    pub(crate) const REBOOT: Self = Step::whole("reboot");
    pub(crate) const RENAME: Self = Step::whole("rename");
    pub(crate) const SHUT_DOWN: Self = Step::whole("shut down");
    pub(crate) const START: Self = Step::whole("start");
    pub(crate) const STOP: Self = Step::whole("stop");
    pub(crate) const TEMPLATE: Self = Step::whole("template");
    pub(crate) const UPLOAD: Self = Step::whole("upload");

    const fn whole(verb: &'static str) -> Self {
        Step { verb, part: None }
    }
}

impl<'a> Step<'a> {
    /// A step about a part of the object: `Step::of("move", "scsi0")`.
    pub(crate) const fn of(verb: &'static str, part: &'a str) -> Self {
        Step { verb, part: Some(part) }
    }

    /// Whether it is among steps as the log has them.
    pub(crate) fn is_in(self, done: &[String]) -> bool {
        done.contains(&self.to_string())
    }

    /// The step and its object as one phrase: `move scsi0 of vm 104 on pve1`, `shut down vm 104 on pve1`.
    pub(crate) fn on(self, object: &str) -> String {
        let of = if self.part.is_some() { "of " } else { "" };
        format!("{self} {of}{object}")
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.verb)?;
        self.part.map_or(Ok(()), |part| write!(formatter, " {part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_and_its_object_are_one_phrase() {
        for (step, phrase) in [
            (Step::DELETE, "delete container 301"),
            (Step::SHUT_DOWN, "shut down container 301"),
            (Step::of("write", "idmap"), "write idmap of container 301"),
            (Step::of("apply", "network"), "apply network of container 301"),
        ] {
            assert_eq!(step.on("container 301"), phrase);
        }
    }

    #[test]
    fn a_step_is_found_by_its_name_as_a_whole() {
        let done = ["create".to_string(), "move scsi0".to_string()];
        assert!(Step::CREATE.is_in(&done) && Step::of("move", "scsi0").is_in(&done));
        assert!(!Step::of("move", "scsi").is_in(&done) && !Step::CLONE.is_in(&done));
    }
}
