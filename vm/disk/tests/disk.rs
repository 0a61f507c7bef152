//! `Disk` against a plain byte array, over sources that are slow, unreachable, or deliver something else.

mod common;

use common::{Mode, SIZE, Source, add_pack, image, pack, read};
use disk::codec::{self, Quality};
use disk::index::IndexBuilder;
use disk::layout::{CHUNK_BYTES, CHUNK_BYTES_MIN, LEAF_CHUNKS};
use disk::readahead::READ_AHEAD_CHUNKS_MAX;
use disk::{BlockDevice, BlockError, ChunkDigest, Disk, FetchError, ImageConfig, Layout, Manifest, Runs};
use proptest::prelude::*;

#[test]
fn all_chunks_of_a_range_are_fetched_in_parallel() {
    let image = image(40 * 4096);
    let (manifest, source) = pack(&image, CHUNK_BYTES_MIN);
    source.0.borrow_mut().mode = Some(Mode::Later);
    let mut disk = Disk::new(&manifest, source.clone());
    assert_eq!(read(&mut disk, 5, 7 * 4096), Err(BlockError::Pending));
    assert_eq!(source.requests(), 1, "the root page, once for all chunks");
    for expected in [1, 1] {
        assert_eq!(disk.waiting().count(), expected);
        source.0.borrow_mut().requests.clear();
        let waiting: Vec<_> = disk.waiting().collect();
        for digest in waiting {
            let answer = source.0.borrow().answer(&digest, false);
            disk.arrived(&digest, answer);
        }
        assert_eq!(read(&mut disk, 5, 7 * 4096), Err(BlockError::Pending));
    }
    let zeros = image[..8 * 4096].chunks(4096).filter(|chunk| chunk.iter().all(|byte| *byte == 0)).count();
    assert_eq!(source.requests(), 8 - zeros, "then every chunk that is not zero");
    source.deliver_all(&mut disk);
    assert_eq!(read(&mut disk, 5, 7 * 4096).as_deref(), Ok(&image[5..5 + 7 * 4096]));
    assert_eq!((disk.stats().chunks_waiting, disk.stats().requests), (0, 2 + 8 - zeros as u64));
}

#[test]
fn a_sequential_reader_finds_its_chunks_there() {
    let image: Vec<u8> = (0..100 * 4096).map(|at| (at / 4096 + 1) as u8).collect();
    let (manifest, source) = pack(&image, CHUNK_BYTES_MIN);
    source.0.borrow_mut().mode = Some(Mode::Later);
    let mut disk = Disk::new(&manifest, source.clone());
    let mut waits = 0;
    for chunk in 0..100 {
        while read(&mut disk, chunk * 4096, 4096) == Err(BlockError::Pending) {
            waits += 1;
            source.deliver_all(&mut disk);
        }
    }
    assert!(waits <= 20, "{waits} waits for 100 chunks, though read-ahead delivers 8 at a time");
}

#[test]
fn a_damaged_chunk_is_fetched_once_more_around_caches() {
    let image = image(4 * 4096);
    for damage in [b"".to_vec(), b"garbage".to_vec(), codec::encode(b"another chunk", Quality::QUICK)] {
        let (manifest, source) = pack(&image, CHUNK_BYTES_MIN);
        let digests: Vec<_> = source.0.borrow().objects.keys().copied().collect();
        for digest in &digests {
            source.0.borrow_mut().stale.insert(*digest, damage.clone());
        }
        let mut disk = Disk::new(&manifest, source.clone());
        assert_eq!(read(&mut disk, 0, image.len()), Ok(image.clone()));
        assert_eq!(disk.stats().refetches, digests.len() as u64);
    }
}

#[test]
fn what_stays_damaged_is_named_and_tried_again_on_the_next_read() {
    let image = image(4 * 4096);
    let digest = ChunkDigest::of(&image[..4096]);
    let (manifest, source) = pack(&image, CHUNK_BYTES_MIN);
    let good = source.0.borrow().objects[&digest].clone();
    let mut cut = good.clone();
    cut.truncate(good.len() / 2);
    let bomb = codec::encode(&vec![1; 30 << 20], Quality::QUICK);
    let mut disk = Disk::new(&manifest, source.clone());
    for bad in [cut, bomb, codec::encode(b"short", Quality::QUICK)] {
        source.0.borrow_mut().objects.insert(digest, bad);
        let Err(BlockError::Failed(why)) = read(&mut disk, 0, 10) else { panic!("damage went unnoticed") };
        assert!(why.contains(&digest.to_string()) && why.contains("damaged"), "{why}");
        assert_eq!(read(&mut disk, 4096, 4096).as_deref(), Ok(&image[4096..8192]), "the others can be read");
    }
    source.0.borrow_mut().objects.remove(&digest);
    let Err(BlockError::Failed(why)) = read(&mut disk, 0, 10) else { panic!("absence went unnoticed") };
    assert!(why.contains("does not have it"), "{why}");
    source.0.borrow_mut().objects.insert(digest, good);
    assert_eq!(read(&mut disk, 0, 10).as_deref(), Ok(&image[..10]), "mended");
}

#[test]
fn an_unreachable_server_is_waited_for() {
    let image = image(4096);
    let (manifest, source) = pack(&image, CHUNK_BYTES_MIN);
    source.0.borrow_mut().mode = Some(Mode::Unreachable);
    let mut disk = Disk::new(&manifest, source.clone());
    for _ in 0..3 {
        assert_eq!(read(&mut disk, 0, 100), Err(BlockError::Pending));
        assert_eq!(disk.stalled(), Some("no network"));
        disk.retry_stalled();
    }
    assert_eq!(disk.stats().requests, 4, "reads alone don't ask again");
    source.0.borrow_mut().mode = Some(Mode::AtOnce);
    disk.retry_stalled();
    assert_eq!((read(&mut disk, 0, 100).as_deref(), disk.stalled()), (Ok(&image[..100]), None));
}

#[test]
fn an_index_that_lies_is_noticed() {
    let layout = Layout::new(3 * 4096, CHUNK_BYTES_MIN).expect("layout");
    let (_, source) = pack(&image(2 * 4096), CHUNK_BYTES_MIN);
    // The root page of a smaller image lists too few leaves' worth of chunks further down.
    let short = ChunkDigest::of(&[1, 2, 3]);
    source.0.borrow_mut().objects.insert(short, codec::encode(&[1, 2, 3], Quality::QUICK));
    let mut disk =
        Disk::new(&Manifest { layout, index_root: short, config: ImageConfig::default(), packs: Vec::new() }, source);
    let Err(BlockError::Failed(why)) = read(&mut disk, 0, 1) else { panic!("accepted") };
    assert!(why.contains("3 bytes where 32 belong"), "{why}");
}

#[test]
fn late_and_unknown_arrivals_are_ignored() {
    let (manifest, source) = pack(&image(4096), CHUNK_BYTES_MIN);
    let mut disk = Disk::new(&manifest, source);
    disk.arrived(&ChunkDigest::of(b"?"), Err(FetchError::Missing("404".into())));
    assert_eq!(disk.stats(), disk::DiskStats::default());
}

#[test]
fn a_sparse_terabyte_costs_nothing_to_speak_of() {
    let layout = Layout::new(1 << 40, 128 << 10).expect("layout");
    let source = Source::default();
    let chunk = vec![9; 128 << 10];
    let digest = ChunkDigest::of(&chunk);
    let mut index = IndexBuilder::new(layout);
    let put = |digest: ChunkDigest, bytes: &[u8]| {
        source.0.borrow_mut().objects.insert(digest, codec::encode(bytes, Quality::QUICK))
    };
    put(digest, &chunk);
    for at in 0..layout.chunk_count() {
        let is_last = at == layout.chunk_count() - 1;
        match index.push(if is_last { digest } else { ChunkDigest::ZERO }) {
            Some(leaf) if !leaf.digest.is_zero() => drop(put(leaf.digest, &leaf.bytes)),
            _ => {}
        }
    }
    let root = index.finish();
    put(root.digest, &root.bytes);
    let bytes: usize = source.0.borrow().objects.values().map(Vec::len).sum();
    assert!(bytes < 1000, "{bytes} bytes on the wire");
    let manifest = Manifest { layout, index_root: root.digest, config: ImageConfig::default(), packs: Vec::new() };
    let mut disk = Disk::new(&manifest, source.clone());
    assert_eq!(read(&mut disk, (1 << 40) - 10, 10), Ok(vec![9; 10]));
    assert_eq!(read(&mut disk, 5 << 38, 4096).map_err(|_| ()), Err(()), "past the end");
    assert_eq!(read(&mut disk, 3 << 38, 4096), Ok(vec![0; 4096]));
    assert_eq!((source.requests(), LEAF_CHUNKS), (3, 4096));
}

/// A terabyte without a zero in it: no page of its index can be compressed. The manifest and the root page are all that a
/// visitor needs before reads are told apart; each then costs the leaf page and the chunk, those at other places alone.
#[test]
fn a_full_terabyte_is_opened_by_two_round_trips_and_less_than_100_kb() {
    let layout = Layout::new(1 << 40, CHUNK_BYTES).expect("layout");
    let source = Source::default();
    source.0.borrow_mut().mode = Some(Mode::Later);
    let put = |bytes: &[u8]| {
        let digest = ChunkDigest::of(bytes);
        source.0.borrow_mut().objects.insert(digest, codec::encode(bytes, Quality::QUICK));
        digest
    };
    // Chunks differ by what they begin with; the pages of two leaves are there, those that are read.
    let chunk = |number: u64| [number.to_le_bytes().to_vec(), vec![7; CHUNK_BYTES as usize - 8]].concat();
    let digest = |number: u64| ChunkDigest::of(&number.to_le_bytes());
    let read_chunks = [5, 6 * LEAF_CHUNKS + 1];
    let mut index = IndexBuilder::new(layout);
    for number in 0..layout.chunk_count() {
        let digest = if read_chunks.contains(&number) { put(&chunk(number)) } else { digest(number) };
        if let Some(leaf) = index.push(digest)
            && read_chunks.iter().any(|read| read / LEAF_CHUNKS == number / LEAF_CHUNKS)
        {
            put(&leaf.bytes);
        }
    }
    let root = index.finish();
    put(&root.bytes);
    let manifest = Manifest { layout, index_root: root.digest, config: ImageConfig::default(), packs: Vec::new() };

    let mut disk = Disk::new(&manifest, source.clone());
    let mut trips = Vec::new();
    let mut read = |number: u64| {
        let mut bytes = [0; 8];
        while disk.read(number * u64::from(CHUNK_BYTES), &mut bytes) == Err(BlockError::Pending) {
            let requests = std::mem::take(&mut source.0.borrow_mut().requests);
            let answers: Vec<_> =
                requests.iter().map(|(digest, _)| (*digest, source.0.borrow().answer(digest, false))).collect();
            trips.push(answers.iter().flat_map(|(_, answer)| answer.as_ref().map(|it| it.bytes.len())).sum::<usize>());
            answers.into_iter().for_each(|(digest, answer)| disk.arrived(&digest, answer));
        }
        assert_eq!(bytes, number.to_le_bytes());
    };
    read_chunks.into_iter().for_each(&mut read);
    let opening = manifest.to_json().len() + trips[0];
    assert!(opening < 100_000, "{opening} bytes");
    assert!(trips[0] > 65_000, "the root page, which can't be compressed");
    assert_eq!(trips.len(), 5, "the root page, a leaf page, a chunk; another leaf page, another chunk: {trips:?}");
}

#[test]
fn the_overlay_is_bounded_and_nothing_is_half_written() {
    let image = image(64 * 4096);
    let (manifest, source) = pack(&image, CHUNK_BYTES_MIN);
    let mut disk = Disk::with_limits(&manifest, source, 1 << 20, 2 * 4096);
    assert_eq!(disk.write(4000, &[1; 4200]), Err(BlockError::Full), "three blocks");
    assert_eq!(read(&mut disk, 0, image.len()), Ok(image.clone()));
    assert_eq!(disk.write(4000, &[1; 4000]), Ok(()));
    assert_eq!(disk.write(0, &[2; 8192]), Ok(()), "the same two blocks");
    assert_eq!(disk.write(8192, &[3]), Err(BlockError::Full));
    assert_eq!(disk.overlay().held_bytes(), 8192);
}

#[derive(Clone, Debug)]
enum Action {
    Read { offset: u64, len: usize },
    Write { offset: u64, len: usize, fill: u8 },
}

fn action(size: u64) -> impl Strategy<Value = Action> {
    prop_oneof![
        (0..size + 10, 0usize..30_000).prop_map(|(offset, len)| Action::Read { offset, len }),
        (0..size + 10, 0usize..9_000, any::<u8>()).prop_map(|(offset, len, fill)| Action::Write { offset, len, fill }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is read and written, at once or later, with a cache too small for anything, with packs, one of
    /// them missing, or without: a byte array agrees.
    #[test]
    fn agrees_with_a_byte_array(
        actions in proptest::collection::vec(action(SIZE as u64), 1..40),
        is_slow in any::<bool>(),
        chunk_bits in 12u32..16,
        cache_bytes in 0usize..200_000,
        packed in proptest::collection::vec(0u8..16, 51),
        woken_by in 0u64..51,
        lost in 0usize..6,
    ) {
        let mut expected = image(SIZE);
        let (mut manifest, source) = pack(&expected, 1 << chunk_bits);
        for number in 0..4 {
            let blocks = Runs::of((0..51).filter(|block| packed[*block as usize] & 1 << number != 0));
            let on = (number == 3).then_some(woken_by);
            add_pack(&mut manifest, &source, &expected, (on, blocks), number == 2);
        }
        prop_assert_eq!(Manifest::parse(manifest.to_json().as_bytes()), Ok(manifest.clone()));
        if let Some(pack) = manifest.packs.get(lost) {
            source.0.borrow_mut().objects.remove(&pack.digest);
        }
        source.0.borrow_mut().mode = Some(if is_slow { Mode::Later } else { Mode::AtOnce });
        // What one read needs must fit: all its chunks, the index, and what is fetched ahead meanwhile.
        let needed_bytes = 30_000 + ((2 + READ_AHEAD_CHUNKS_MAX as usize) << chunk_bits) + 4096;
        let mut disk = Disk::with_limits(&manifest, source.clone(), cache_bytes.max(needed_bytes), 1 << 20);
        for action in actions {
            let mut rounds = 0;
            loop {
                rounds += 1;
                prop_assert!(rounds < 50, "no progress: {action:?}");
                let outcome = match &action {
                    Action::Read { offset, len } => {
                        let mut bytes = vec![0; *len];
                        let outcome = disk.read(*offset, &mut bytes);
                        if outcome.is_ok() {
                            let start = *offset as usize;
                            prop_assert_eq!(&bytes, &expected[start..start + len]);
                        }
                        outcome
                    }
                    Action::Write { offset, len, fill } => {
                        let outcome = disk.write(*offset, &vec![*fill; *len]);
                        if outcome.is_ok() {
                            expected[*offset as usize..*offset as usize + len].fill(*fill);
                        }
                        outcome
                    }
                };
                match outcome {
                    Ok(()) => break,
                    Err(BlockError::Pending) => {
                        prop_assert!(is_slow);
                        source.deliver_all(&mut disk);
                    }
                    Err(_) => {
                        let (Action::Read { offset, len } | Action::Write { offset, len, .. }) = &action;
                        prop_assert!(*offset as usize + len > SIZE);
                        break;
                    }
                }
            }
        }
    }
}
