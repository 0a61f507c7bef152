//! Boot packs: what a disk asks for, waits for, and does without.

mod common;

use common::{Mode, Source, add_boot_pack, add_pack, image, pack, read};
use disk::codec::{self, Quality};
use disk::layout::CHUNK_BYTES_MIN;
use disk::{BlockDevice, BlockError, ChunkDigest, Disk, Manifest, Runs};

const BLOCKS: u64 = 40;

/// An image without zeros, with two packs: blocks 3, 10 to 12; then 20, 21 and the index.
fn packed() -> (Vec<u8>, Manifest, Source) {
    let image: Vec<u8> = image(BLOCKS as usize * 4096).into_iter().map(|byte| byte | 1).collect();
    let (mut manifest, source) = pack(&image, CHUNK_BYTES_MIN);
    add_boot_pack(&mut manifest, &source, &image, Runs::of([3, 10, 11, 12]), false);
    add_boot_pack(&mut manifest, &source, &image, Runs::of([20, 21]), true);
    source.0.borrow_mut().mode = Some(Mode::Later);
    (image, manifest, source)
}

fn requested(source: &Source) -> Vec<ChunkDigest> {
    source.0.borrow().requests.iter().map(|(digest, _)| *digest).collect()
}

fn block(image: &[u8], block: usize) -> &[u8] {
    &image[block * 4096..(block + 1) * 4096]
}

/// Reads one block after the other while everything is delivered; returns how many requests that made.
fn read_blocks(disk: &mut Disk<Source>, source: &Source, image: &[u8], blocks: &[usize]) -> u64 {
    let before = disk.stats().requests;
    for &number in blocks {
        let mut rounds = 0;
        let bytes = loop {
            match read(disk, number as u64 * 4096, 4096) {
                Err(BlockError::Pending) => source.deliver_all(disk),
                outcome => break outcome,
            }
            rounds += 1;
            assert!(rounds < 10, "no progress at block {number}");
        };
        assert_eq!(bytes.as_deref(), Ok(block(image, number)), "block {number}");
    }
    disk.stats().requests - before
}

#[test]
fn packs_come_first_and_all_at_once_and_answer_what_they_have() {
    let (image, manifest, source) = packed();
    let packs: Vec<_> = manifest.packs.iter().map(|pack| pack.digest).collect();
    let mut disk = Disk::new(&manifest, source.clone());
    assert_eq!(read(&mut disk, 10 * 4096 + 5, 3 * 4096 - 5), Err(BlockError::Pending));
    assert_eq!(requested(&source), packs, "and nothing else");
    let answer = source.0.borrow().answer(&packs[0], false);
    disk.arrived(&packs[0], answer);
    assert_eq!(read(&mut disk, 10 * 4096 + 5, 3 * 4096 - 5).as_deref(), Ok(&image[10 * 4096 + 5..13 * 4096]));
    assert_eq!(read(&mut disk, 20 * 4096, 4096), Err(BlockError::Pending), "the second one is on its way");
    assert_eq!(requested(&source), packs);
    assert_eq!(read_blocks(&mut disk, &source, &image, &[20, 21, 3, 11]), 0);
    assert_eq!(read_blocks(&mut disk, &source, &image, &[30]), 2, "the index is there: the chunk and its neighbour");
    assert_eq!(disk.write(3 * 4096 + 1, b"new"), Ok(()), "the rest of the block is there");
    assert_eq!(
        read(&mut disk, 3 * 4096, 5).as_deref(),
        Ok([image[3 * 4096], b'n', b'e', b'w', image[3 * 4096 + 4]].as_slice())
    );
}

#[test]
fn what_no_pack_has_does_not_wait_for_packs() {
    let (image, manifest, source) = packed();
    let packs: Vec<_> = manifest.packs.iter().map(|pack| pack.digest).collect();
    let mut disk = Disk::new(&manifest, source.clone());
    while read(&mut disk, 30 * 4096, 4096) == Err(BlockError::Pending) {
        let others: Vec<_> = requested(&source).into_iter().filter(|digest| !packs.contains(digest)).collect();
        source.0.borrow_mut().requests.clear();
        assert!(!others.is_empty(), "something else than packs is asked for");
        for digest in others {
            let answer = source.0.borrow().answer(&digest, false);
            disk.arrived(&digest, answer);
        }
    }
    assert_eq!(read(&mut disk, 30 * 4096, 4096).as_deref(), Ok(block(&image, 30)));
    assert_eq!(disk.waiting().collect::<Vec<_>>().len(), packs.len());
}

#[test]
fn a_pack_that_can_not_be_had_is_done_without() {
    let all: Vec<usize> = (0..BLOCKS as usize).collect();
    for damage in [None, Some(b"garbage".to_vec()), Some(codec::encode(b"short", Quality::QUICK))] {
        let (image, manifest, source) = packed();
        for pack in &manifest.packs {
            let mut server = source.0.borrow_mut();
            match &damage {
                Some(bytes) => drop(server.objects.insert(pack.digest, bytes.clone())),
                None => drop(server.objects.remove(&pack.digest)),
            }
        }
        let mut disk = Disk::new(&manifest, source.clone());
        read_blocks(&mut disk, &source, &image, &all);
        assert_eq!((disk.stats().packs_lost, disk.stats().refetches), (2, 2));
    }
}

#[test]
fn a_damaged_pack_is_fetched_once_more_around_caches() {
    let (image, manifest, source) = packed();
    let digest = manifest.packs[0].digest;
    source.0.borrow_mut().stale.insert(digest, codec::encode(&vec![1; 30 << 20], Quality::QUICK));
    let mut disk = Disk::new(&manifest, source.clone());
    assert_eq!(read_blocks(&mut disk, &source, &image, &[10, 11, 12]), 3, "two packs, one of them twice");
    assert_eq!((disk.stats().packs_lost, disk.stats().refetches), (0, 1));
}

#[test]
fn an_unreachable_server_is_waited_for() {
    let (image, manifest, source) = packed();
    source.0.borrow_mut().mode = Some(Mode::Unreachable);
    let mut disk = Disk::new(&manifest, source.clone());
    assert_eq!(read(&mut disk, 10 * 4096, 10), Err(BlockError::Pending));
    assert_eq!(disk.stalled(), Some("no network"));
    source.0.borrow_mut().mode = Some(Mode::AtOnce);
    disk.retry_stalled();
    assert_eq!(read(&mut disk, 10 * 4096, 10).as_deref(), Ok(&block(&image, 10)[..10]));
}

#[test]
fn a_pack_whose_lists_say_something_else_is_not_used() {
    let (image, mut manifest, source) = packed();
    manifest.packs[0].blocks = Runs::of([3, 10, 11]);
    let mut disk = Disk::new(&manifest, source.clone());
    read_blocks(&mut disk, &source, &image, &(0..BLOCKS as usize).collect::<Vec<_>>());
    assert_eq!(disk.stats().packs_lost, 1);
}

#[test]
fn a_reader_that_leaves_a_pack_is_followed_from_there() {
    let (image, manifest, source) = packed();
    let mut disk = Disk::new(&manifest, source.clone());
    read_blocks(&mut disk, &source, &image, &[10, 11, 12]);
    assert_eq!(disk.stats().requests, 2, "nothing is fetched ahead of reads that packs answer");
}

#[test]
fn a_program_s_pack_is_fetched_when_its_block_is_read() {
    let (image, mut manifest, source) = packed();
    for blocks in [[30, 31, 35], [36, 37, 38]] {
        add_pack(&mut manifest, &source, &image, (Some(30), Runs::of(blocks)), false);
    }
    let mut disk = Disk::new(&manifest, source.clone());
    read_blocks(&mut disk, &source, &image, &[10, 20, 25, 26]);
    assert_eq!(read_blocks(&mut disk, &source, &image, &[35]), 2, "a chunk and its neighbour: it sleeps");
    assert_eq!(read_blocks(&mut disk, &source, &image, &[30, 31, 35, 36, 37, 38]), 2, "two packs");
    assert_eq!(disk.stats().packs_lost, 0);
}
