//! Real folders: locks, what a killed run leaves, and disks that are full or may not be written.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::epoch::Generation;

fn names() -> SegmentIds {
    SegmentIds::new(Generation(1_790_000_000))
}

#[test]
fn a_second_run_of_the_same_state_is_refused_until_the_first_ends() {
    let folder_of_state = tempfile::tempdir().unwrap();
    let store = folder(folder_of_state.path());
    let lock = store.lock().unwrap();
    let error = folder(folder_of_state.path()).lock().unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::InUse);
    assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
    drop(lock);
    folder(folder_of_state.path()).lock().unwrap();
}

#[test]
fn folders_are_made_and_what_is_no_folder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let deep = parent.path().join("a/b/c");
    assert!(Store::open_existing(&Location::Folder(deep.clone())).is_err(), "to look at makes nothing");
    assert!(!parent.path().join("a").exists());
    let store = folder(&deep);
    assert_eq!(store.list("manifests").unwrap(), Vec::<String>::new());
    let file = parent.path().join("file");
    fs::write(&file, "x").unwrap();
    for wrong in [file.clone(), file.join("below")] {
        assert!(Store::open(&Location::Folder(wrong.clone())).is_err(), "{wrong:?}");
    }
}

#[test]
fn large_objects_and_small_ones_are_written_and_read_in_parts() {
    let state = tempfile::tempdir().unwrap();
    let store = folder(state.path());
    for bytes in [0, 1, (8 << 20) - 1, 8 << 20, (17 << 20) + 5] {
        let content: Vec<u8> = (0..bytes).map(|at: usize| ((at * 31) >> 3) as u8).collect();
        let name = SegmentId { generation: Generation(1), serial: bytes as u64 }.segment();
        let mut writer = store.writer(name.clone(), bytes as u64);
        content.chunks(1_000_003).for_each(|part| writer.write(part).unwrap());
        assert!(store.size(&name).is_err(), "it has no name before it is whole");
        assert_eq!(writer.written_bytes(), bytes as u64);
        writer.finish().unwrap();
        assert_eq!(store.get(&name).unwrap(), content);
        if bytes > 10 {
            let parts = store.get_ranges(&name, &[3..9, 0..1, bytes as u64 - 4..bytes as u64]).unwrap();
            assert_eq!(parts, [&content[3..9], &content[..1], &content[bytes - 4..]]);
            let beyond = bytes as u64;
            for range in [beyond - 1..beyond + 1, beyond + 5..beyond + 9] {
                let error = store.get_ranges(&name, &[range]).unwrap_err();
                assert_eq!(error.kind(), CheckpointErrorKind::Damaged, "{error:?}");
            }
        }
    }
    let unfinished = SegmentId { generation: Generation(1), serial: 9 }.segment();
    let mut writer = store.writer(unfinished, 0);
    writer.write(&vec![1; 9 << 20]).unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(state.path().join("segments")).unwrap().count(), 5, "what was not finished is gone");
}

#[test]
fn what_a_killed_run_left_half_written_is_removed_and_nothing_else() {
    let state = tempfile::tempdir().unwrap();
    let store = folder(state.path());
    let segments = state.path().join("segments");
    fs::create_dir(&segments).unwrap();
    for name in ["1790000000-0000000001#1", "1790000000-0000000001", "notes#1a", "notes#"] {
        fs::write(segments.join(name), "x").unwrap();
    }
    store.lock().unwrap();
    let mut left: Vec<_> = fs::read_dir(&segments).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["1790000000-0000000001", "notes#", "notes#1a"]);
}

#[test]
fn what_was_created_with_this_very_content_is_created() {
    let state = tempfile::tempdir().unwrap();
    let store = folder(state.path());
    let object = ManifestNumber(1).object();
    store.create(&object, &bytes::Bytes::from("ours")).unwrap();
    store.create(&object, &bytes::Bytes::from("ours")).unwrap();
    let error = store.create(&object, &bytes::Bytes::from("theirs")).unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::Exists);
    assert_eq!(store.get(&object).unwrap(), "ours");
}

#[test]
fn several_threads_may_use_a_store_at_once() {
    let state = tempfile::tempdir().unwrap();
    let store = folder(state.path());
    let object = |thread: u32, serial: u64| SegmentId { generation: Generation(thread), serial }.segment();
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let store = store.clone();
            scope.spawn(move || {
                for serial in 1..=20 {
                    let content = bytes::Bytes::from(vec![thread as u8; 1000 * serial as usize]);
                    store.create(&object(thread, serial), &content).unwrap();
                    assert_eq!(store.get(&object(thread, serial)).unwrap(), content);
                }
            });
        }
    });
    assert_eq!(store.list("segments").unwrap().len(), 80);
}

#[test]
fn files_of_any_name_may_lie_between_a_states_own() {
    use std::os::unix::ffi::OsStrExt as _;

    let state = tempfile::tempdir().unwrap();
    let store = folder(state.path());
    let names = names();
    segments(&store, &names, 1 << 20, &[(key(1), RecordKind::Key, vec![1])]).unwrap();
    let folder_of_segments = state.path().join("segments");
    for name in
        [&b"a b"[..], "\u{fc}".as_bytes(), b"a%2Fb", b"~", b"x#y", b"\xff\xfe", b"[*]", b".hidden", b"lost+found"]
    {
        let path = folder_of_segments.join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, "mine").unwrap();
        let listed = store.list("segments").unwrap_or_else(|error| panic!("{path:?}: {error:?}"));
        assert_eq!(listed.iter().filter(|name| SegmentId::of(name).is_some()).count(), 1, "{path:?}");
    }
    std::os::unix::fs::symlink("nowhere", folder_of_segments.join("dangling")).unwrap();
    fs::create_dir(folder_of_segments.join("1790000000-0000000009")).unwrap();
    assert!(store.list("segments").is_ok());
    let (mut commits, _) = begin(&store, 0).unwrap();
    commits.commit(manifest(1, Vec::new())).unwrap();
    assert_eq!(commits.delete_unused(&Default::default()).unwrap(), 1);
    assert_eq!(fs::read_dir(folder_of_segments).unwrap().count(), 11);
}

/// A small file system of its own; `None` where this user may not mount one.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(options: &str) -> Option<Mounted> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(folder.path()).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Mounted(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, options: &str) {
        let remounted = Command::new("mount").args(["-o", options]).arg(self.path()).status().unwrap();
        assert!(remounted.success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_fails_a_checkpoint_and_harms_none_that_is_there() {
    let Some(disk) = Mounted::new("size=2m") else { return };
    let store = folder(&disk.path().join("state"));
    let names = names();
    let (mut commits, _) = begin(&store, 0).unwrap();
    let small: Vec<_> = (0..10).map(|number| (key(number), RecordKind::Key, vec![1; 10])).collect();
    let entries = segments(&store, &names, 1 << 20, &small).unwrap();
    commits.commit(manifest(1, entries.clone())).unwrap();

    let large: Vec<_> = (0..100).map(|number| (key(number), RecordKind::Key, vec![2; 100_000])).collect();
    let error = segments(&store, &names, 64 << 20, &large).unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::Failed);
    assert!(error.to_string().contains("the disk is full"), "{error}");

    // Not even a manifest fits.
    let filling = disk.path().join("filling");
    while fs::write(&filling, vec![0; fs::metadata(&filling).map_or(0, |file| file.len() as usize) + 4096]).is_ok() {}
    let error = commits.commit(manifest(2, entries.clone())).unwrap_err();
    assert!(error.kind() == CheckpointErrorKind::Failed && error.to_string().contains("the disk is full"), "{error}");
    assert!(Journal::open(&store, Generation(1)).unwrap().0.append(crate::epoch::Epoch(1), "x".into()).is_err());
    let restored = Search::begin(&store, "likes").unwrap().next().unwrap().unwrap();
    assert_eq!((restored.manifest.number, read_all(&restored.segments).unwrap().len()), (ManifestNumber(1), 10));

    fs::remove_file(&filling).unwrap();
    assert_eq!(commits.commit(manifest(3, entries)).unwrap(), ManifestNumber(2));
}

#[test]
fn a_read_only_disk_can_be_looked_at_and_says_what_it_is() {
    let Some(disk) = Mounted::new("size=2m") else { return };
    let store = folder(&disk.path().join("state"));
    let (mut commits, _) = begin(&store, 0).unwrap();
    commits.commit(manifest(1, Vec::new())).unwrap();
    disk.remount("remount,ro");
    let error = commits.commit(manifest(2, Vec::new())).unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    assert!(folder(&disk.path().join("state")).lock().is_err());
    let looked_at = Store::open_existing(store.location()).unwrap();
    assert!(Search::begin(&looked_at, "likes").unwrap().next().unwrap().is_some());
}
