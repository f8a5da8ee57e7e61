//! Control groups (version 2), their classes of network traffic, and who is in which: the task, and the packet's socket.

use serde::{Deserialize, Serialize};

use super::config::ConfigError;

/// The cgroups of a world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CgroupConfig {
    /// All cgroups: the first is the root, each comes after its parent. Maps hold them by their place in this list.
    pub tree: Vec<CgroupNode>,
    /// Path of the current task's.
    pub task: String,
    /// `net_cls` class of the current task.
    pub task_classid: u32,
    /// The packet's socket.
    pub socket: SocketConfig,
}

/// A cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CgroupNode {
    /// Its path from the root, which is `/`.
    pub path: String,
    /// Its id: the number of its file.
    pub id: u64,
}

/// The full socket that a packet belongs to, as cgroups see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketConfig {
    /// The packet has none: none at all, or one that is not full (a request, a time-wait socket).
    pub none: bool,
    /// Path of the cgroup that it was made in; empty for that of the current task.
    pub cgroup: String,
    /// `net_cls` class that it was made in.
    pub classid: u32,
}

#[allow(clippy::derivable_impls, reason = "the documentation of a default")]
impl Default for SocketConfig {
    /// A socket that the current task has made, as for a test run.
    fn default() -> Self {
        SocketConfig { none: false, cgroup: String::new(), classid: 0 }
    }
}

impl Default for CgroupConfig {
    /// The root alone, with the id that Linux gives it.
    fn default() -> Self {
        CgroupConfig {
            tree: vec![CgroupNode { path: "/".to_owned(), id: 1 }],
            task: "/".to_owned(),
            task_classid: 0,
            socket: SocketConfig::default(),
        }
    }
}

/// The path of the cgroup above; `None` above the root.
fn parent(path: &str) -> Option<&str> {
    if path == "/" {
        return None;
    }
    path.rsplit_once('/').map(|(above, _)| if above.is_empty() { "/" } else { above })
}

impl CgroupConfig {
    /// The most cgroups.
    pub const MAX: usize = 64;

    /// Whether there can be such a tree, with all who are in it.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.tree.first().is_none_or(|root| root.path != "/") {
            return Err(ConfigError::NoRootCgroup);
        }
        if self.tree.len() > CgroupConfig::MAX {
            return Err(ConfigError::TooManyCgroups(self.tree.len()));
        }
        for (at, node) in self.tree.iter().enumerate() {
            let before = &self.tree[..at];
            let has_parent = parent(&node.path).map_or(at == 0, |above| before.iter().any(|of| of.path == above));
            let is_name = node.path == "/" || node.path.starts_with('/') && !node.path.ends_with('/');
            if !(has_parent && is_name) || before.iter().any(|of| of.path == node.path || of.id == node.id) {
                return Err(ConfigError::Cgroup(node.path.clone()));
            }
        }
        for path in [&self.task, &self.socket.cgroup] {
            if !path.is_empty() && self.number(path).is_none() {
                return Err(ConfigError::NoSuchCgroup(path.clone()));
            }
        }
        Ok(())
    }

    /// The place of the cgroup with this path.
    fn number(&self, path: &str) -> Option<usize> {
        self.tree.iter().position(|node| node.path == path)
    }
    /// The current task's cgroup.
    pub fn of_task(&self) -> usize {
        self.number(&self.task).unwrap_or(0)
    }
    /// The cgroup of the packet's full socket, if it has one.
    pub fn of_socket(&self) -> Option<usize> {
        let path = if self.socket.cgroup.is_empty() { &self.task } else { &self.socket.cgroup };
        (!self.socket.none).then(|| self.number(path).unwrap_or(0))
    }
    /// The id of a cgroup of the tree.
    pub fn id(&self, cgroup: usize) -> u64 {
        self.tree[cgroup].id
    }
    /// The cgroup above; `None` above the root.
    pub fn parent(&self, cgroup: usize) -> Option<usize> {
        self.number(parent(&self.tree[cgroup].path)?)
    }
    /// How far below the root it is.
    pub fn level(&self, cgroup: usize) -> i32 {
        std::iter::successors(self.parent(cgroup), |above| self.parent(*above)).count() as i32
    }
    /// The ancestor at this level, which may be the cgroup itself (`cgroup_ancestor`).
    pub fn ancestor(&self, cgroup: usize, level: i32) -> Option<usize> {
        let above = self.level(cgroup).checked_sub(level).filter(|_| level >= 0)?;
        let above = usize::try_from(above).ok()?;
        std::iter::successors(Some(cgroup), |at| self.parent(*at)).nth(above)
    }
    /// Whether it is in the subtree of the other (`cgroup_is_descendant`).
    pub fn is_under(&self, cgroup: usize, other: usize) -> bool {
        self.ancestor(cgroup, self.level(other)) == Some(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> CgroupConfig {
        let node = |(at, path): (usize, &&str)| CgroupNode { path: (*path).to_owned(), id: 1 + at as u64 };
        CgroupConfig { tree: paths.iter().enumerate().map(node).collect(), ..CgroupConfig::default() }
    }

    #[test]
    fn trees_have_ancestors() {
        let tree = tree(&["/", "/a", "/a/b", "/c"]);
        assert_eq!(tree.check(), Ok(()));
        assert_eq!([0, 1, 2, 3].map(|at| tree.level(at)), [0, 1, 2, 1]);
        assert_eq!([-1, 0, 1, 2, 3].map(|level| tree.ancestor(2, level)), [None, Some(0), Some(1), Some(2), None]);
        assert_eq!(tree.ancestor(2, i32::MIN), None);
        assert!(tree.is_under(2, 1) && tree.is_under(2, 2) && tree.is_under(3, 0));
        assert!(!tree.is_under(1, 2) && !tree.is_under(3, 1));
    }

    #[test]
    fn trees_are_whole() {
        for bad in [&["/a"][..], &[], &["/", "/a/b"], &["/", "/a", "/a"], &["/", "a"], &["/", "/a/"]] {
            assert!(tree(bad).check().is_err(), "{bad:?}");
        }
        let lost = CgroupConfig { task: "/nowhere".to_owned(), ..CgroupConfig::default() };
        assert_eq!(lost.check(), Err(ConfigError::NoSuchCgroup("/nowhere".to_owned())));
    }
}
