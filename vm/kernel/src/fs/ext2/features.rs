//! Feature flags of the superblock: which there are, and what they keep us from doing.

/// `compat`: the file system has extended attributes.
pub(super) const EXT_ATTR: u32 = 0x8;
/// `incompat`: directory entries tell the kind of file.
pub(super) const FILETYPE: u32 = 0x2;
/// `incompat`: a group's bitmaps and inode table may lie in other groups.
const FLEX_BG: u32 = 0x200;
/// `ro_compat`: superblock copies in some groups only.
pub(super) const SPARSE_SUPER: u32 = 0x1;
/// `ro_compat`: there are files of 2 GiB or more.
pub(super) const LARGE_FILE: u32 = 0x2;
/// `ro_compat`: all inodes have room for nanoseconds.
const EXTRA_ISIZE: u32 = 0x40;

/// Incompatible features that are understood. The journal of a cleanly unmounted ext3 (`compat`) is no concern.
const INCOMPAT_KNOWN: u32 = FILETYPE | FLEX_BG;
/// Features that writing respects.
const RO_COMPAT_KNOWN: u32 = SPARSE_SUPER | LARGE_FILE | EXTRA_ISIZE;

const INCOMPAT_NAMES: [(u32, &str); 16] = [
    (0x1, "compression"),
    (0x4, "needs_recovery (journal not replayed)"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x40, "extents"),
    (0x80, "64bit"),
    (0x100, "mmp"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
    (FILETYPE, "filetype"),
    (FLEX_BG, "flex_bg"),
];

const RO_COMPAT_NAMES: [(u32, &str); 13] = [
    (0x4, "btree_dir"),
    (0x8, "huge_file"),
    (0x10, "uninit_bg"),
    (0x20, "dir_nlink"),
    (0x80, "snapshot"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x400, "metadata_csum"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x4000, "shared_blocks"),
    (0x8000, "verity"),
];

/// Names of features that make the file system unreadable to us.
pub(super) fn unreadable(incompat: u32) -> Vec<String> {
    names(incompat & !INCOMPAT_KNOWN, &INCOMPAT_NAMES)
}

/// Names of features that make it unwritable.
pub(super) fn unwritable(ro_compat: u32) -> Vec<String> {
    names(ro_compat & !RO_COMPAT_KNOWN, &RO_COMPAT_NAMES)
}

fn names(flags: u32, known: &[(u32, &str)]) -> Vec<String> {
    let set = (0..32).map(|bit| 1 << bit).filter(|flag| flags & flag != 0);
    let name = |flag| match known.iter().find(|entry| entry.0 == flag) {
        Some(entry) => entry.1.to_owned(),
        None => format!("unknown feature {flag:#x}"),
    };
    set.map(name).collect()
}
