//! Which process has a socket open, and which program it runs (proc(5)).

use std::{
    collections::VecDeque,
    fs, iter,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// The processes of a `/proc`, and which of them had the sockets asked for of late.
#[derive(Debug)]
pub(super) struct Processes {
    root: PathBuf,
    /// The latest first, one an inode.
    known: VecDeque<Held>,
}

/// An open socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    inode: u32,
    process: u32,
    descriptor: u32,
}

impl Processes {
    pub(super) fn new(root: impl Into<PathBuf>) -> Processes {
        Processes {
            root: root.into(),
            known: VecDeque::new(),
        }
    }

    /// Names of the program that has the socket with this inode open: its base name, then its path; empty where there is
    /// none to be seen.
    pub(super) fn names(&mut self, inode: u32) -> Vec<Arc<str>> {
        let held = self.held(inode);
        held.map_or_else(Vec::new, |held| self.program(held.process))
    }

    /// What is known is looked at again each time: a descriptor costs one readlink(2), and is never stale then. Next come
    /// the processes that had sockets of late, since who opens one opens more; then all, the youngest first.
    fn held(&mut self, inode: u32) -> Option<Held> {
        let known = self.known.iter().position(|held| held.inode == inode);
        let known = known.and_then(|at| self.known.remove(at));
        let held = match known.filter(|held| self.is_open(*held)) {
            Some(held) => held,
            None => self.search(inode)?,
        };
        self.known.push_front(held);
        self.known.truncate(MOST_KNOWN);
        Some(held)
    }

    fn is_open(&self, held: Held) -> bool {
        let Held {
            inode,
            process,
            descriptor,
        } = held;
        let link = self.root.join(format!("{process}/fd/{descriptor}"));
        fs::read_link(link).is_ok_and(|target| target.as_os_str() == &*socket(inode))
    }

    fn search(&self, inode: u32) -> Option<Held> {
        let until = Instant::now() + MOST_TIME;
        let mut recent: Vec<u32> = Vec::new();
        for held in &self.known {
            if !recent.contains(&held.process) {
                recent.push(held.process);
            }
        }
        let all = iter::once_with(|| youngest_first(&self.root)).flatten();
        recent
            .into_iter()
            .chain(all)
            .take_while(|_| Instant::now() < until)
            .find_map(|process| self.descriptor(process, inode, until))
    }

    /// Looks through the descriptors of one process; those of others than the caller's own user take root.
    fn descriptor(&self, process: u32, inode: u32, until: Instant) -> Option<Held> {
        let wanted = socket(inode);
        let folder = fs::read_dir(self.root.join(format!("{process}/fd"))).ok()?;
        folder
            .map_while(Result::ok)
            .take_while(|_| Instant::now() < until)
            .find(|entry| {
                fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == &*wanted)
            })
            .and_then(|entry| number(&entry))
            .map(|descriptor| Held {
                inode,
                process,
                descriptor,
            })
    }

    /// Read anew each time, since a process may become another program.
    fn program(&self, process: u32) -> Vec<Arc<str>> {
        let link = self.root.join(format!("{process}/exe"));
        let Ok(target) = fs::read_link(&link) else {
            return Vec::new();
        };
        let Some(text) = target.to_str() else {
            return Vec::new();
        };
        // A path counts only where it leads us to the same file: in a mount namespace of its own, anything can be called
        // anything, and a file that has been removed is nowhere.
        let is_there = same_file(&link, &target);
        let path = match is_there {
            true => text,
            false => text.strip_suffix(" (deleted)").unwrap_or(text),
        };
        let base = path.rsplit_once('/').map_or(path, |(_, base)| base);
        let base = Some(base).filter(|base| !is_reserved(base));
        let names = base.into_iter().chain(is_there.then_some(path));
        names
            .filter(|name| !name.is_empty() && !name.contains(char::is_control))
            .map(Arc::from)
            .collect()
    }
}

/// Names that are not an executable's to take.
fn is_reserved(base: &str) -> bool {
    base == "system" || base.starts_with("uid:")
}

/// What the link of a socket's descriptor says.
fn socket(inode: u32) -> String {
    format!("socket:[{inode}]")
}

fn same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

fn youngest_first(root: &Path) -> Vec<u32> {
    let entries = fs::read_dir(root).into_iter().flatten();
    let mut processes: Vec<u32> = entries
        .filter_map(|entry| number(&entry.ok()?))
        .take(MOST_PROCESSES)
        .collect();
    processes.sort_unstable_by(|a, b| b.cmp(a));
    processes
}

fn number(entry: &fs::DirEntry) -> Option<u32> {
    entry.file_name().to_str()?.parse().ok()
}

/// Sockets whose process is remembered; 12 bytes each.
const MOST_KNOWN: usize = 128;
/// Processes looked at in one search; [`MOST_TIME`] ends most long ones first.
const MOST_PROCESSES: usize = 65_536;
/// One search through the processes.
const MOST_TIME: Duration = Duration::from_millis(150);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A `/proc` made up of links.
    struct Proc(PathBuf);

    impl Proc {
        fn new(name: &str) -> Proc {
            let root = std::env::temp_dir().join(format!("untold-{}-{name}", std::process::id()));
            fs::create_dir_all(&root).unwrap();
            Proc(root)
        }

        fn process(&self, id: u32, exe: &str, sockets: &[u32]) {
            let folder = self.0.join(id.to_string());
            fs::create_dir_all(folder.join("fd")).unwrap();
            symlink(exe, folder.join("exe")).unwrap();
            symlink("/dev/null", folder.join("fd/0")).unwrap();
            for (at, inode) in sockets.iter().enumerate() {
                symlink(socket(*inode), folder.join(format!("fd/{}", at + 3))).unwrap();
            }
        }

        fn end(&self, id: u32) {
            fs::remove_dir_all(self.0.join(id.to_string())).unwrap();
        }

        /// A file to be the executable of a process.
        fn file(&self, name: &str) -> String {
            let path = self.0.join(name);
            fs::write(&path, "").unwrap();
            path.to_str().unwrap().into()
        }

        fn processes(&self) -> Processes {
            Processes::new(&self.0)
        }
    }

    impl Drop for Proc {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn words(names: &[Arc<str>]) -> Vec<&str> {
        names.iter().map(|name| &**name).collect()
    }

    #[test]
    fn a_program_goes_by_its_base_name_and_its_path() {
        let proc = Proc::new("names");
        let fetch = proc.file("fetch");
        proc.process(17, &fetch, &[70, 71]);
        let mut processes = proc.processes();
        assert_eq!(words(&processes.names(71)), ["fetch", &fetch]);
        assert!(processes.names(7).is_empty());
        assert!(processes.names(710).is_empty());
    }

    #[test]
    fn the_youngest_of_those_that_share_a_socket_counts() {
        let proc = Proc::new("youngest");
        let [parent, child] = ["parent", "child"].map(|name| proc.file(name));
        proc.process(9, &parent, &[5]);
        proc.process(10, &child, &[5]);
        assert_eq!(words(&proc.processes().names(5)), ["child", &child]);
    }

    #[test]
    fn what_is_remembered_is_never_stale() {
        let proc = Proc::new("stale");
        let [first, second] = ["first", "second"].map(|name| proc.file(name));
        let mut processes = proc.processes();
        proc.process(20, &first, &[5]);
        assert_eq!(words(&processes.names(5)), ["first", &first]);
        proc.end(20);
        proc.process(20, &first, &[6]);
        proc.process(15, &second, &[5]);
        assert_eq!(words(&processes.names(5)), ["second", &second]);
        // It has become another program.
        proc.end(15);
        proc.process(15, &first, &[5]);
        assert_eq!(words(&processes.names(5)), ["first", &first]);
        proc.end(15);
        assert!(processes.names(5).is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let proc = Proc::new("bounded");
        let file = proc.file("many");
        let sockets: Vec<u32> = (1..=2 * MOST_KNOWN as u32).collect();
        proc.process(30, &file, &sockets);
        let mut processes = proc.processes();
        for inode in sockets {
            assert_eq!(processes.names(inode).len(), 2, "{inode}");
        }
        assert_eq!(processes.known.len(), MOST_KNOWN);
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_not_told() {
        let proc = Proc::new("elsewhere");
        proc.process(2, "/no-such-folder/browser (deleted)", &[2]);
        proc.process(3, "/no-such-folder/browser", &[3]);
        let odd = proc.file("odd (deleted)");
        proc.process(4, &odd, &[4]);
        let mut processes = proc.processes();
        assert_eq!(words(&processes.names(2)), ["browser"]);
        assert_eq!(words(&processes.names(3)), ["browser"]);
        assert_eq!(words(&processes.names(4)), ["odd (deleted)", &odd]);
    }

    #[test]
    fn no_file_name_passes_for_a_user_or_the_system_or_moves_the_cursor() {
        let proc = Proc::new("reserved");
        for (id, name) in [(2, "uid:0"), (3, "system")] {
            let path = proc.file(name);
            proc.process(id, &path, &[id]);
            assert_eq!(words(&proc.processes().names(id)), [path.as_str()]);
        }
        let path = proc.file("clear\u{1b}[2J");
        proc.process(4, &path, &[4]);
        assert!(proc.processes().names(4).is_empty());
    }
}
