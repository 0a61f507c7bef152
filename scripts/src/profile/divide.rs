//! Dividing blocks, in the order in which they were read, into packs. What does not fit is left out: the last blocks.

use disk::layout::LEAF_CHUNKS;
use disk::overlay::BLOCK_BYTES;
use disk::pack::{PACK_BYTES_MAX, PACK_RUNS_MAX, Part};
use disk::{ChunkDigest, Layout, Pack, Runs};

/// Bytes of the first pack, decoded: some 150 KB on the wire, so that it is there soon.
const FIRST_PACK_BYTES: u64 = 512 << 10;
/// How many times larger each further one is: whatever needs more has more to do meanwhile.
const GROWTH: u64 = 4;
/// Packs of a boot.
const BOOT_PACKS_MAX: usize = 8;
/// Packs of a program: 27 MiB, which is as much as a compiler reads.
const PROGRAM_PACKS_MAX: usize = 9;
/// Leaf pages of the index that ride along in the boot's last pack, 128 KiB each that hardly can be compressed: what is
/// read after the boot is found with them. All that an image of ordinary size has.
const LEAVES_MAX: usize = 2;
/// Bytes of the index that ride along. If there would be more, because the root page of a huge image is large, none do.
const INDEX_BYTES_MAX: u64 = 512 << 10;

/// Packs of a boot, to be built.
pub fn boot(layout: Layout, order: &[u64]) -> Vec<Pack> {
    let mut packs: Vec<_> = cut(order, BOOT_PACKS_MAX).map(|blocks| pack(None, blocks)).collect();
    if let Some(last) = packs.last_mut() {
        last.index = index_of(layout, order);
    }
    packs
}

/// Packs of a program, to be built. The first one is fetched `on` reading a block, each other one when the program is
/// half-way through the one before: one that stops early does not fetch the rest.
pub fn program(on: u64, order: &[u64]) -> Vec<Pack> {
    let middles = cut(order, PROGRAM_PACKS_MAX).filter_map(|blocks| blocks.get(blocks.len() / 2).copied());
    let signs = std::iter::once(on).chain(middles);
    cut(order, PROGRAM_PACKS_MAX).zip(signs).map(|(blocks, on)| pack(Some(on), blocks)).collect()
}

fn pack(on: Option<u64>, blocks: &[u64]) -> Pack {
    Pack { digest: ChunkDigest::ZERO, on, index: None, blocks: Runs::of(blocks.iter().copied()) }
}

/// Cuts blocks at the sizes of packs, until there are `packs_max` or one would have too many runs.
fn cut(order: &[u64], packs_max: usize) -> impl Iterator<Item = &[u64]> {
    let largest = PACK_BYTES_MAX as u64 - INDEX_BYTES_MAX;
    let sizes = std::iter::successors(Some(FIRST_PACK_BYTES), |bytes| Some(bytes.saturating_mul(GROWTH)));
    let mut rest = order;
    let cut_off = move |size: u64| {
        let (blocks, left) = rest.split_at(rest.len().min((size.min(largest) / BLOCK_BYTES as u64) as usize));
        rest = left;
        let is_pack = !blocks.is_empty() && Runs::of(blocks.iter().copied()).range_count() <= PACK_RUNS_MAX;
        is_pack.then_some(blocks)
    };
    sizes.take(packs_max).map_while(cut_off)
}

/// The leaf pages that list the first of these blocks, if not too much would ride along.
fn index_of(layout: Layout, order: &[u64]) -> Option<Runs> {
    let leaf_blocks = u64::from(layout.chunk_bytes()) / BLOCK_BYTES as u64 * LEAF_CHUNKS;
    let mut leaves: Vec<u64> = Vec::new();
    for leaf in order.iter().map(|block| block / leaf_blocks) {
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

    #[test]
    fn boot_packs_grow_and_the_last_one_has_the_index() {
        let order: Vec<u64> = (0..2000).map(|number| number * 7919 % 100_003).collect();
        let packs = boot(layout(GIB), &order);
        let counts: Vec<_> = packs.iter().map(|pack| pack.blocks.count()).collect();
        assert_eq!(counts, [128, 512, 896, 464]);
        assert_eq!(packs[0].blocks, Runs::of(order[..128].iter().copied()));
        let leaves: Vec<_> = packs.iter().map(|pack| pack.index.as_ref().map(Runs::to_string)).collect();
        assert_eq!(leaves, [None, None, None, Some("0".into())]);
        assert!(boot(layout(GIB), &[]).is_empty() && program(1, &[]).is_empty());
    }

    #[test]
    fn a_program_fetches_packs_as_it_goes_on() {
        let order: Vec<u64> = (0..700).map(|number| 10_000 - number).collect();
        let packs = program(77, &order);
        let signs: Vec<_> = packs.iter().map(|pack| (pack.on, pack.blocks.count())).collect();
        assert_eq!(signs, [(Some(77), 128), (Some(order[64]), 512), (Some(order[128 + 256]), 60)]);
        for pair in packs.windows(2) {
            assert!(pair[1].on.is_some_and(|on| pair[0].blocks.contains(on)));
        }
    }

    #[test]
    fn limits_hold_however_much_is_read() {
        for (size_bytes, stride) in [(GIB, 1), (GIB, 3), (1 << 40, 1 << 17), (16 << 40, 1 << 20)] {
            let layout = layout(size_bytes);
            let order: Vec<u64> = (0..size_bytes / 4096 / stride).map(|number| number * stride).rev().collect();
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
