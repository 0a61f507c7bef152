//! Dividing blocks, in the order in which they were read, into packs. What does not fit is left out: the last blocks.

use disk::layout::LEAF_CHUNKS;
use disk::overlay::BLOCK_BYTES;
use disk::pack::{PACK_BYTES_MAX, PACK_RUNS_MAX, Part};
use disk::{ChunkDigest, Layout, Pack, Runs};

use super::record::{Kind, Order};

/// Blocks of the first pack with contents: 512 KiB, some 150 KB on the wire, so that it is there soon.
const FIRST_PACK_BLOCKS: usize = (512 << 10) / BLOCK_BYTES;
/// How many times larger each further one is: whatever needs more has more to do meanwhile.
const GROWTH: usize = 4;
/// Blocks of a pack that leave room for the index.
const LARGEST_PACK_BLOCKS: usize = (PACK_BYTES_MAX - INDEX_BYTES_MAX as usize) / BLOCK_BYTES;
/// Packs of a boot.
const BOOT_PACKS_MAX: usize = 8;
/// Packs of a program: 27 MiB, which is as much as a compiler reads.
const PROGRAM_PACKS_MAX: usize = 9;
/// Leaf pages of the index that ride along in the boot's first pack, 128 KiB each that hardly can be compressed: what is
/// read after the boot is found with them. All that an image of ordinary size has.
const LEAVES_MAX: usize = 2;
/// Bytes of the index that ride along. If there would be more, because the root page of a huge image is large, none do.
const INDEX_BYTES_MAX: u64 = 512 << 10;

/// Packs of a boot, to be built: first one with all that changes with every image, then those with contents of files.
pub fn boot(layout: Layout, order: &Order) -> Vec<Pack> {
    if order.is_empty() {
        return Vec::new();
    }
    let (structure, contents) = (of_kind(order, Kind::Structure), of_kind(order, Kind::Contents));
    let mut first = pack(None, &structure[..structure.len().min(LARGEST_PACK_BLOCKS)]);
    first.index = index_of(layout, order);
    let others = cut(&contents, BOOT_PACKS_MAX - 1).map(|blocks| pack(None, blocks));
    std::iter::once(first).chain(others).collect()
}

/// Packs of a program, to be built, which are fetched as it goes on from reading block `on`. The first one has all that it
/// reads besides contents of files, so that who only looks around in directories wakes no other.
pub fn program(on: u64, order: &Order) -> Vec<Pack> {
    let contents = of_kind(order, Kind::Contents);
    let mut packs: Vec<_> = cut(&contents, PROGRAM_PACKS_MAX).map(|blocks| pack(Some(on), blocks)).collect();
    if let Some(first) = packs.first_mut() {
        let all = Runs::of(of_kind(order, Kind::Structure).into_iter().chain(first.blocks.iter().flatten()));
        if all.count() <= LARGEST_PACK_BLOCKS as u64 && all.range_count() <= PACK_RUNS_MAX {
            first.blocks = all;
        }
    }
    packs
}

fn of_kind(order: &Order, wanted: Kind) -> Vec<u64> {
    order.iter().filter(|(_, kind)| *kind == wanted).map(|(block, _)| *block).collect()
}

fn pack(on: Option<u64>, blocks: &[u64]) -> Pack {
    Pack { digest: ChunkDigest::ZERO, on, index: None, blocks: Runs::of(blocks.iter().copied()) }
}

/// Cuts blocks at the sizes of packs, until there are `packs_max` or one would have too many runs.
fn cut(order: &[u64], packs_max: usize) -> impl Iterator<Item = &[u64]> {
    let sizes = std::iter::successors(Some(FIRST_PACK_BLOCKS), |blocks| Some(blocks.saturating_mul(GROWTH)));
    let mut rest = order;
    let cut_off = move |size: usize| {
        let (blocks, left) = rest.split_at(rest.len().min(size).min(LARGEST_PACK_BLOCKS));
        rest = left;
        let is_pack = !blocks.is_empty() && Runs::of(blocks.iter().copied()).range_count() <= PACK_RUNS_MAX;
        is_pack.then_some(blocks)
    };
    sizes.take(packs_max).map_while(cut_off)
}

/// The leaf pages that list the first of these blocks, if not too much would ride along.
fn index_of(layout: Layout, order: &Order) -> Option<Runs> {
    let leaf_blocks = u64::from(layout.chunk_bytes()) / BLOCK_BYTES as u64 * LEAF_CHUNKS;
    let mut leaves: Vec<u64> = Vec::new();
    for leaf in order.iter().map(|(block, _)| block / leaf_blocks) {
        if !leaves.contains(&leaf) && leaves.len() < LEAVES_MAX {
            leaves.push(leaf);
        }
    }
    let parts = leaves.iter().copied().map(Part::Leaf).chain([Part::Root]);
    let len: u64 = parts.map(|part| part.len_bytes(layout)).sum();
    (len <= INDEX_BYTES_MAX).then(|| Runs::of(leaves))
}

#[cfg(test)]
mod tests {
    use disk::layout::CHUNK_BYTES;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn layout(size_bytes: u64) -> Layout {
        Layout::new(size_bytes, CHUNK_BYTES).expect("layout")
    }

    fn order(structure: impl IntoIterator<Item = u64>, contents: impl IntoIterator<Item = u64>) -> Order {
        let structure = structure.into_iter().map(|block| (block, Kind::Structure));
        structure.chain(contents.into_iter().map(|block| (block, Kind::Contents))).collect()
    }

    #[test]
    fn boot_packs_grow_after_one_with_all_that_changes() {
        let order = order([9, 2], (0..2000).map(|number| 3 + number * 7919 % 100_003));
        let packs = boot(layout(GIB), &order);
        let counts: Vec<_> = packs.iter().map(|pack| pack.blocks.count()).collect();
        assert_eq!(counts, [2, 128, 512, 896, 464]);
        assert_eq!(packs[0].blocks, Runs::of([2, 9]));
        assert_eq!(packs[1].blocks, Runs::of(of_kind(&order, Kind::Contents)[..128].iter().copied()));
        let leaves: Vec<_> = packs.iter().map(|pack| pack.index.as_ref().map(Runs::to_string)).collect();
        assert_eq!(leaves, [Some("0".into()), None, None, None, None]);
        assert!(boot(layout(GIB), &Order::default()).is_empty() && program(1, &Order::default()).is_empty());
    }

    #[test]
    fn a_program_s_first_pack_has_all_but_contents() {
        let order = order([20_000, 20_002], (0..700).map(|number| 10_000 - number));
        let packs = program(77, &order);
        let counts: Vec<_> = packs.iter().map(|pack| (pack.on, pack.blocks.count())).collect();
        assert_eq!(counts, [(Some(77), 130), (Some(77), 512), (Some(77), 60)]);
        assert!(packs[0].blocks.contains(20_002) && packs[0].blocks.contains(10_000));
    }

    #[test]
    fn limits_hold_however_much_is_read() {
        for (size_bytes, stride) in [(GIB, 1), (GIB, 3), (1 << 40, 1 << 17), (16 << 40, 1 << 20)] {
            let layout = layout(size_bytes);
            let kind = |number: u64| if number.is_multiple_of(3) { Kind::Structure } else { Kind::Contents };
            let order: Order =
                (0..size_bytes / 4096 / stride).rev().map(|number| (number * stride, kind(number))).collect();
            let mut packs = boot(layout, &order);
            packs.extend(program(1, &order));
            for (number, pack) in packs.iter_mut().enumerate() {
                pack.digest = ChunkDigest::of(&[number as u8 + 1]);
                assert!(pack.blocks.range_count() <= PACK_RUNS_MAX);
            }
            assert_eq!(disk::pack::check(layout, &packs), Ok(()), "{size_bytes} {stride}");
            assert!(packs.len() > 3, "{size_bytes} {stride}");
        }
    }
}
