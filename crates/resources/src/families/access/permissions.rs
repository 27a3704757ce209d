//! What the user or token that makes a change may do, before it and after it: the rules of PVE::AccessControl (`roles`)
//! and PVE::RPCEnvironment (`permissions`).

use std::collections::{BTreeMap, BTreeSet};

/// Paths that are looked at whether entries name them or not.
const TOP_LEVEL: [&str; 8] =
    ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"];

/// Stands for everything below a path: privileges that no longer propagate are lost there.
const BELOW: &str = "...";

/// Who an entry of the access control list is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holder {
    User(String),
    Group(String),
    Token(String),
}

/// An entry of the access control list without its propagation: there is one at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) holder: Holder,
    pub(crate) role: String,
}

/// One change to what somebody may do.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Grant(Entry, bool),
    Revoke(Entry),
    /// The groups of a user.
    Groups(String, BTreeSet<String>),
    NoGroup(String),
    Role(String, BTreeSet<String>),
    NoRole(String),
    /// Whether a token has privileges of its own only.
    Separation(String, bool),
    /// A user or token that can no longer log in, and by what.
    Shut(String, &'static str),
    /// A guest or a storage, by its path, leaves a pool, perhaps for another: what is given on the pool is given on it no
    /// longer, and what is given on the other is.
    Leave {
        path: String,
        pool: String,
        joins: Option<String>,
    },
}

impl Change {
    pub(super) fn shuts(&self) -> Option<&'static str> {
        if let Change::Shut(_, how) = self { Some(how) } else { None }
    }
}

/// What decides about the permissions of one user or token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub(super) user: String,
    /// `USER@REALM!NAME`
    pub(super) token: Option<String>,
    /// Whether the token has only privileges that were given to itself too.
    pub(super) separated: bool,
    pub(super) groups: BTreeSet<String>,
    /// With whether they propagate.
    pub(super) entries: BTreeMap<Entry, bool>,
    pub(super) roles: BTreeMap<String, BTreeSet<String>>,
}

/// What a change takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A privilege on a path, and how many more.
    Privilege { privilege: String, path: String, more: usize },
    /// The login.
    Login(&'static str),
}

/// The privileges of whoever asks, by path, as the API tells them.
pub(super) type Held = BTreeMap<String, BTreeSet<String>>;

/// The paths with privileges where a change may take some: that of an entry with what is below it, and the nearest one
/// above it that is listed; all of them where the change has no path.
fn reach<'h>(change: &Change, held: &'h Held) -> Vec<&'h str> {
    if let Change::Leave { .. } = change {
        return Vec::new();
    }
    let paths = held.keys().map(String::as_str);
    let (Change::Grant(entry, _) | Change::Revoke(entry)) = change else { return paths.collect() };
    let is_below = |path: &str, above: &str| {
        path.strip_prefix(above.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let above = paths.clone().filter(|path| is_below(&entry.path, path)).max_by_key(|path| path.len());
    paths.filter(|path| is_below(path, &entry.path)).chain(above).collect()
}

/// What is held on a path, or on the nearest one above it that is listed.
fn nearest(held: &Held, path: &str) -> BTreeSet<String> {
    let above = path.match_indices('/').map(|(at, _)| &path[..at]).filter(|above| !above.is_empty());
    let mut paths: Vec<&str> = std::iter::once("/").chain(above).chain([path]).collect();
    paths.reverse();
    paths.into_iter().find_map(|path| held.get(path)).cloned().unwrap_or_default()
}

/// Whether a privilege is asked for on what a pool may have: all that its roles give counts there, but most of it for
/// nothing (PVE::API2::Qemu, PVE::API2::Storage::Config, PVE::RPCEnvironment `check_perm_modify`).
fn matters_on(path: &str, privilege: &str) -> bool {
    let own = if path.starts_with("/storage/") { "Datastore." } else { "VM." };
    privilege == "Permissions.Modify" || privilege.starts_with(own)
}

impl Access {
    /// Who acts, as the API names it.
    pub(super) fn who(&self) -> &str {
        self.token.as_deref().unwrap_or(&self.user)
    }

    /// Whether changes to what `holder` has may matter, as far as the names tell.
    pub(super) fn concerns(user: &str, token: Option<&str>, change: &Change) -> bool {
        let holds = |holder: &Holder| match holder {
            Holder::User(name) => name == user,
            Holder::Token(name) => token == Some(name),
            Holder::Group(_) => true,
        };
        match change {
            Change::Grant(entry, _) | Change::Revoke(entry) => holds(&entry.holder),
            Change::Groups(name, _) => name == user,
            Change::NoGroup(_) | Change::Role(..) | Change::NoRole(_) => true,
            Change::Leave { .. } => user != "root@pam" || token.is_some(),
            Change::Separation(name, _) => token == Some(name),
            Change::Shut(name, _) => name == user || token == Some(name),
        }
    }

    /// What is lost on the way through `changes`, each of which takes effect by itself.
    pub(super) fn loss(&self, changes: &[Change]) -> Option<Loss> {
        let mut after = self.clone();
        changes.iter().find_map(|change| {
            if let Change::Shut(name, how) = change {
                return (*name == self.user || self.token.as_ref() == Some(name)).then_some(Loss::Login(how));
            }
            after.change(change);
            self.lost_in(&after)
        })
    }

    pub(super) fn change(&mut self, change: &Change) {
        match change {
            Change::Grant(entry, propagate) => drop(self.entries.insert(entry.clone(), *propagate)),
            Change::Revoke(entry) => drop(self.entries.remove(entry)),
            Change::Groups(user, groups) if *user == self.user => self.groups.clone_from(groups),
            Change::NoGroup(group) => {
                self.groups.remove(group);
                self.entries.retain(|entry, _| entry.holder != Holder::Group(group.clone()));
            }
            Change::Role(role, privileges) => drop(self.roles.insert(role.clone(), privileges.clone())),
            Change::NoRole(role) => {
                self.roles.remove(role);
                self.entries.retain(|entry, _| entry.role != *role);
            }
            Change::Separation(token, separated) if self.token.as_ref() == Some(token) => {
                self.separated = *separated;
            }
            Change::Groups(..) | Change::Separation(..) | Change::Shut(..) | Change::Leave { .. } => {}
        }
    }

    /// What is lost on what leaves a pool with the last of `changes`: what is held on it by the pool, and neither above it
    /// nor by entries of its own nor by the pool that it joins.
    pub(super) fn leaves(&self, held: &Held, changes: &[Change]) -> Option<Loss> {
        let Change::Leave { path, pool, joins } = changes.last()? else { return None };
        let mut after = self.clone();
        changes.iter().for_each(|change| after.change(change));
        let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
        let [of_pool, above] = [pool.as_str(), parent].map(|path| nearest(held, path));
        let mut kept = after.privileges(path);
        if let Some(joined) = joins {
            kept.extend(nearest(held, joined));
            kept.extend(after.privileges(joined));
        }
        let is_lost = |name: &&String| {
            matters_on(path, name)
                && of_pool.contains(*name)
                && !above.contains(*name)
                && !kept.contains(*name)
        };
        let mut lost = held.get(path)?.iter().filter(is_lost);
        let privilege = lost.next()?.clone();
        Some(Loss::Privilege { privilege, path: path.clone(), more: lost.count() })
    }

    /// A privilege that `changes` may take, which is held on a path and which no entry that is known gives: entries may be
    /// hidden from whoever asks. On a guest or a storage, a pool may give it.
    pub(super) fn unexplained(&self, held: &Held, changes: &[Change]) -> Option<(String, String)> {
        let named = changes.iter().filter(|change| self.touches(change));
        let reached: BTreeSet<&str> = named.flat_map(|change| reach(change, held)).collect();
        self.gaps(held).find(|(_, path)| reached.contains(&**path))
    }

    /// Takes in the groups of the user where the API does not tell them: those whose entries explain what is held.
    pub(super) fn guess_groups(&mut self, held: &Held) {
        let groups = self.entries.keys().filter_map(|entry| match &entry.holder {
            Holder::Group(name) => Some(name.clone()),
            Holder::User(_) | Holder::Token(_) => None,
        });
        for group in groups.collect::<BTreeSet<_>>() {
            let without = self.gaps(held).count();
            self.groups.insert(group.clone());
            if self.gaps(held).count() >= without {
                self.groups.remove(&group);
            }
        }
    }

    /// What is held and not explained.
    fn gaps(&self, held: &Held) -> impl Iterator<Item = (String, String)> {
        let may_be_pooled = |path: &str| path.starts_with("/vms/") || path.starts_with("/storage/");
        held.iter().filter(move |(path, _)| !may_be_pooled(path)).flat_map(|(path, held)| {
            let known = self.privileges(path);
            let gaps = held.iter().filter(move |name| !known.contains(*name));
            gaps.map(|name| (name.clone(), path.clone()))
        })
    }

    /// Whether a change may matter, now that the groups are known.
    fn touches(&self, change: &Change) -> bool {
        match change {
            Change::Grant(Entry { holder: Holder::Group(group), .. }, _)
            | Change::Revoke(Entry { holder: Holder::Group(group), .. })
            | Change::NoGroup(group) => self.groups.contains(group),
            _ => true,
        }
    }

    fn lost_in(&self, after: &Access) -> Option<Loss> {
        let named = self.entries.keys().chain(after.entries.keys()).map(|entry| entry.path.clone());
        let paths: BTreeSet<String> = named.chain(TOP_LEVEL.map(String::from)).collect();
        let paths = paths.iter().flat_map(|path| [path.clone(), format!("{path}/{BELOW}")]);
        let mut lost = paths.flat_map(|path| {
            let left = after.privileges(&path);
            let gone = self.privileges(&path).into_iter().filter(move |name| !left.contains(name));
            gone.map(move |name| (name, path.clone()))
        });
        let (privilege, path) = lost.next()?;
        let path = match path.strip_suffix(BELOW) {
            Some(parent) => format!(
                "what is below {}",
                Some(parent.trim_end_matches('/')).filter(|path| !path.is_empty()).unwrap_or("/")
            ),
            None => path,
        };
        Some(Loss::Privilege { privilege, path, more: lost.count() })
    }

    /// The privileges on a path. Those of root are not lost, whatever happens.
    fn privileges(&self, path: &str) -> BTreeSet<String> {
        let own = |holder: &Holder| *holder == Holder::User(self.user.clone());
        let group = |holder: &Holder| matches!(holder, Holder::Group(name) if self.groups.contains(name));
        let of_user = || self.given(path, &[&own, &group]);
        let Some(token) = self.token.as_ref().filter(|_| self.separated) else {
            return if self.user == "root@pam" { BTreeSet::new() } else { of_user() };
        };
        let of_token = self.given(path, &[&|holder: &Holder| *holder == Holder::Token(token.clone())]);
        match self.user.as_str() {
            "root@pam" => of_token,
            _ => of_token.intersection(&of_user()).cloned().collect(),
        }
    }

    /// The privileges that entries give on a path: those of the deepest path where there are any, and there those of
    /// the first holders that have any.
    fn given(&self, path: &str, holders: &[&dyn Fn(&Holder) -> bool]) -> BTreeSet<String> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let mut roles: BTreeSet<&str> = BTreeSet::new();
        for depth in 0..=parts.len() {
            let here = format!("/{}", parts[..depth].join("/"));
            let found = holders.iter().find_map(|holds| {
                let entries = self.entries.iter().filter(|(entry, propagate)| {
                    entry.path == here && (**propagate || depth == parts.len()) && holds(&entry.holder)
                });
                let found: BTreeSet<&str> = entries.map(|(entry, _)| entry.role.as_str()).collect();
                Some(found).filter(|found| !found.is_empty())
            });
            roles = found.unwrap_or(roles);
        }
        if roles.contains("NoAccess") {
            return BTreeSet::new();
        }
        roles.into_iter().filter_map(|role| self.roles.get(role)).flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
