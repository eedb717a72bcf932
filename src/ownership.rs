//! Whether only root and the user who runs this program can change a file.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// The maximum number of symbolic links that lead to each other, as in the kernel.
const MOST_LINKS: u32 = 32;

/// Why others can change a file. The path is that of the file, or of a directory or link on the way to it.
#[derive(Debug, thiserror::Error)]
pub enum Unsafe {
    /// It belongs to another user, with this user ID.
    #[error("{} belongs to user {owner}: chown it to root or to the user who runs dtcpclient", path.display())]
    Owner {
        /// The file, directory or link.
        path: PathBuf,
        /// A user ID.
        owner: u32,
    },
    /// It is not a directory with the sticky bit.
    #[error("{} is writable by group or others: run chmod go-w on it", .0.display())]
    Writable(PathBuf),
    /// It cannot be accessed, or there are too many links.
    #[error("cannot check the owner and the mode of {}", .0.display())]
    Unknown(PathBuf, #[source] io::Error),
}

/// Checks the file and each directory on the way to it. A link is checked like a directory, and its target like the
/// file.
pub(crate) fn check(path: &Path) -> Result<(), Unsafe> {
    check_path(path, MOST_LINKS)
}

fn check_path(path: &Path, links: u32) -> Result<(), Unsafe> {
    let unknown = |source| Unsafe::Unknown(path.to_owned(), source);
    let parent = path.parent();
    if let Some(parent) = parent {
        check_path(parent, links)?;
    }
    let found = fs::symlink_metadata(path).map_err(unknown)?;
    check_one(path, &found, geteuid().as_raw())?;
    if !found.is_symlink() {
        return Ok(());
    }
    let links = links.checked_sub(1).ok_or_else(|| unknown(io::Error::other("too many links")))?;
    let target = fs::read_link(path).map_err(unknown)?;
    check_path(&parent.unwrap_or(path).join(target), links)
}

/// A link's mode has no meaning. In a directory with the sticky bit, users can only replace their own files.
fn check_one(path: &Path, found: &Metadata, user: u32) -> Result<(), Unsafe> {
    let owner = found.uid();
    if owner != 0 && owner != user {
        return Err(Unsafe::Owner { path: path.to_owned(), owner });
    }
    let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
    if !found.is_symlink() && !sticky && found.mode() & 0o022 != 0 {
        return Err(Unsafe::Writable(path.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::unistd::{Uid, chown};

    use super::*;

    /// `directory/file` in a temporary directory, with these modes.
    fn file(directory: u32, file: u32) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("directory");
        fs::create_dir(&path).unwrap();
        let name = path.join("file");
        fs::write(&name, "").unwrap();
        fs::set_permissions(&name, Permissions::from_mode(file)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(directory)).unwrap();
        (root, name)
    }

    #[test]
    fn neither_the_file_nor_a_directory_may_be_writable_by_others() {
        for (directory, mode) in [(0o755, 0o644), (0o1777, 0o600), (0o700, 0o555)] {
            check(&file(directory, mode).1).unwrap_or_else(|_| panic!("{directory:o} {mode:o}"));
        }
        for (directory, mode) in [(0o755, 0o664), (0o755, 0o1646), (0o775, 0o644), (0o757, 0o600)] {
            let (_root, path) = file(directory, mode);
            let error = check(&path).unwrap_err();
            let Unsafe::Writable(named) = error else { panic!("{error}") };
            assert_eq!(named == path, directory == 0o755, "{}", named.display());
        }
    }

    #[test]
    fn a_link_is_followed_and_its_target_is_checked_too() {
        let (root, target) = file(0o777, 0o644);
        let link = root.path().join("link");
        symlink("directory/file", &link).unwrap();
        assert!(matches!(check(&link), Err(Unsafe::Writable(path)) if path == target.parent().unwrap()));
        fs::set_permissions(target.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
        check(&link).unwrap();
        let round = root.path().join("round");
        symlink("round", &round).unwrap();
        assert!(matches!(check(&round), Err(Unsafe::Unknown(..))));
    }

    #[test]
    fn the_owner_must_be_root_or_this_user() {
        let (_root, path) = file(0o755, 0o644);
        let found = fs::symlink_metadata(&path).unwrap();
        let (owner, stranger) = (found.uid(), found.uid() + 1);
        assert!(check_one(&path, &found, owner).is_ok());
        assert_eq!(check_one(&path, &found, stranger).is_ok(), owner == 0);
        if geteuid().is_root() {
            for changed in [path.as_path(), path.parent().unwrap()] {
                chown(changed, Some(Uid::from_raw(4)), None).unwrap();
                let error = check(&path).unwrap_err();
                assert!(matches!(&error, Unsafe::Owner { path, owner: 4 } if path == changed), "{error}");
            }
        }
    }
}
