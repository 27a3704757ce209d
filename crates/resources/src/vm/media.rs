//! What becomes of a VM's drives for media: the CD-ROM drive and the cloud-init drive. Where one of them was may be a disk by
//! now, which is none of theirs.

use pve_model::Value;

use super::decode_devices::is_media;
use super::drive_changes::{DriveChanges, Move};
use super::drives::{
    cloud_init_interface, encode_cdrom, encode_cloud_init, is_cloud_init_drive, other_drive_at,
};
use crate::observed::Observed;
use crate::property::Properties;
use crate::values::{all_blocks, block, text};

/// Whether a drive is a CD-ROM drive, other than that of cloud-init.
pub(super) fn is_cdrom(drive: &str) -> bool {
    is_media(drive) && !drive.contains("cloudinit")
}

/// A CD-ROM drive goes only where there still is one.
pub(super) fn change_cdrom(
    observed: &Observed,
    prior: Option<&Value>,
    planned: &Value,
    changes: &mut DriveChanges,
) {
    let before = prior.and_then(encode_cdrom);
    let wanted = encode_cdrom(planned);
    // A new VM has its drive already; given once more, the cluster would add it to the boot order.
    let is_there = |(interface, drive): &(String, Properties)| {
        let now = observed.text(interface).filter(|now| is_cdrom(now)).map(|now| Properties::parse(&now));
        now.is_some_and(|now| now.first_or("file") == drive.first_or("file"))
    };
    if before == wanted || before.is_none() && wanted.as_ref().is_some_and(is_there) {
        return;
    }
    let gone = before.map(|(interface, _)| interface);
    let is_still = |name: &String| observed.text(name).is_some_and(|drive| is_cdrom(&drive));
    changes.media.extend(gone.filter(is_still));
    if let Some((interface, drive)) = wanted {
        changes.set.put(&interface, Some(drive));
    }
}

/// What nobody asked to take out, where a drive for media would go.
pub(super) struct InTheWay {
    /// The block of the drive.
    pub(super) block: &'static str,
    pub(super) interface: String,
    pub(super) has_it: String,
}

/// What is in the way of the CD-ROM drive and the cloud-init drive.
pub(super) fn in_the_way(
    observed: &Observed,
    prior: Option<&Value>,
    planned: &Value,
    changes: &DriveChanges,
) -> Option<InTheWay> {
    let cloud_init = block(planned, "initialization")
        .map(|initialization| ("initialization", cloud_init_place(observed, initialization)));
    if let Some((block, interface)) = &cloud_init
        && let Some(has_it) = other_drive_at(planned, interface)
    {
        return Some(InTheWay { block, interface: interface.clone(), has_it: has_it.to_string() });
    }
    let cdrom = encode_cdrom(planned).map(|(interface, _)| ("cdrom", interface));
    cloud_init.into_iter().chain(cdrom).find_map(|(block, interface)| {
        let is_new = changes.set.0.contains_key(&interface);
        let goes = prior.is_some_and(|prior| {
            all_blocks(prior, "disk").iter().any(|disk| text(disk, "interface") == Some(&*interface))
        });
        let has_it = observed.text(&interface).filter(|drive| is_new && !goes && !is_media(drive))?;
        Some(InTheWay { block, interface, has_it })
    })
}

/// The cloud-init drive that there is.
pub(crate) fn present_cloud_init(observed: &Observed) -> Option<String> {
    let mut names = observed.config.keys();
    names.find(|name| observed.text(name).is_some_and(|drive| is_cloud_init_drive(name, &drive))).cloned()
}

/// Where the cloud-init drive is to be: that of a template stays where it is unless the configuration names another place.
fn cloud_init_place(observed: &Observed, initialization: &Value) -> String {
    let named = text(initialization, "interface").map(str::to_string);
    named.or_else(|| present_cloud_init(observed)).unwrap_or_else(|| cloud_init_interface(initialization))
}

/// There may be only one cloud-init drive, so one at another place goes first.
pub(super) fn change_cloud_init(
    observed: &Observed,
    prior: Option<&Value>,
    planned: &Value,
    changes: &mut DriveChanges,
) {
    let present = present_cloud_init(observed);
    let before = prior.and_then(|prior| block(prior, "initialization"));
    let Some(initialization) = block(planned, "initialization") else {
        if before.is_some() {
            changes.media.extend(present);
        }
        return;
    };
    let format = text(initialization, "file_format");
    let reformatted = before.is_some_and(|before| format.is_some() && text(before, "file_format") != format);
    let datastore = text(initialization, "datastore_id").unwrap_or("local-lvm");
    match present {
        Some(name) if name == cloud_init_place(observed, initialization) && !reformatted => {
            let drive = observed.text(&name).unwrap_or_default();
            if drive.split_once(':').is_some_and(|(now, _)| now != datastore) {
                changes.moves.push(Move {
                    interface: name,
                    datastore: datastore.to_string(),
                    format: format.map(str::to_string),
                });
            }
        }
        present => {
            let place = cloud_init_place(observed, initialization);
            changes.freed.extend(present.filter(|name| *name != place));
            changes.set.put(&place, encode_cloud_init(planned).map(|(_, drive)| drive));
        }
    }
}
