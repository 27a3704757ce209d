//! Single settings of a provider: in its block, else in the environment.

use pve_model::{Path, PathStep, Value};

use super::{IncompleteConfiguration, SettingPlace};
use crate::values::block;

/// A block and the environment behind it.
pub(super) struct Settings<'a> {
    pub block: &'a Value,
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// A text that is set, and where.
pub(super) struct Setting {
    pub text: String,
    /// The argument or the environment variable.
    pub name: String,
    place: SettingPlace,
}

impl Setting {
    /// That it cannot be what it is given for.
    pub fn fault(&self, what: &str, hint: &'static str) -> IncompleteConfiguration {
        let message = format!("{} {what}", self.name);
        IncompleteConfiguration { message, hint, place: self.place.clone() }
    }
}

/// That something has to be written.
pub(super) fn missing(message: &str, hint: &'static str) -> IncompleteConfiguration {
    IncompleteConfiguration { message: message.into(), hint, place: SettingPlace::Missing }
}

impl Settings<'_> {
    /// An argument of the block. An empty text is a setting, too: that there is none, whatever the environment has.
    pub fn text(&self, argument: &str) -> Option<Setting> {
        match self.block.get(argument).and_then(Value::as_str) {
            Some(text) => own(text, argument, Path::attribute(argument)).filter(|own| !own.text.is_empty()),
            None => self.variable(&argument.to_uppercase()),
        }
    }

    /// An argument of the `ssh` block; `variable` is the end of its variable's name. Other than outside of it an empty text
    /// says nothing there, as for the reference (`proxmoxtf/provider`, the half of it that connects by SSH).
    pub fn ssh_text(&self, argument: &str, variable: &str) -> Option<Setting> {
        let ssh = block(self.block, "ssh").and_then(|ssh| ssh.get(argument)?.as_str());
        match ssh.filter(|text| !text.is_empty()) {
            Some(text) => own(text, argument, in_ssh(argument)),
            None => self.variable(variable),
        }
    }

    /// A switch of the block that is off where nothing is said.
    pub fn switch(&self, argument: &str) -> bool {
        let own = self.block.get(argument).and_then(Value::as_bool);
        own.unwrap_or_else(|| is_on(self.variable(&argument.to_uppercase()).map(|setting| setting.text)))
    }

    /// An environment variable, by the end of its name. One that is empty is not set.
    pub fn variable(&self, name: &str) -> Option<Setting> {
        ["PROXMOX_VE_", "PM_VE_"].into_iter().find_map(|prefix| {
            let name = format!("{prefix}{name}");
            let text = (self.environment)(&name).filter(|text| !text.trim().is_empty())?;
            Some(Setting { text, name, place: SettingPlace::Variable })
        })
    }
}

fn own(text: &str, argument: &str, path: Path) -> Option<Setting> {
    Some(Setting { text: text.into(), name: argument.into(), place: SettingPlace::Block(path) })
}

/// An argument of the `ssh` block.
fn in_ssh(argument: &str) -> Path {
    Path::attribute("ssh").child(PathStep::Index(0)).child(PathStep::Attribute(argument.into()))
}

/// Whether a text of the environment says yes.
pub(super) fn is_on(text: Option<String>) -> bool {
    text.is_some_and(|text| crate::property::is_true(text.trim()))
}
