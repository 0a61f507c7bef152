//! `/proc/PID/maps`, `smaps`, `statm`.

use std::rc::Rc;

use abi::file::{device_major, device_minor};
use abi::memory::{PROT_EXEC, PROT_READ, PROT_WRITE};
use memory::PAGE_SIZE;

use crate::mm::{Mm, Vma};
use crate::vfs::Location;

/// One line a mapping.
pub fn maps(mm: &Rc<Mm>, root: &Location) -> Vec<u8> {
    mm.mappings().iter().flat_map(|vma| line(mm, vma, root)).collect()
}

/// Each line of `maps` and the figures that programs add up.
pub fn smaps(mm: &Rc<Mm>, root: &Location) -> Vec<u8> {
    let mut text = Vec::new();
    for vma in &mm.mappings() {
        let (size, resident) = (vma.len() / 1024, mm.resident_pages(vma) * PAGE_SIZE / 1024);
        text.extend(line(mm, vma, root));
        let rows = [
            ("Size", size),
            ("KernelPageSize", 4),
            ("MMUPageSize", 4),
            ("Rss", resident),
            ("Pss", resident),
            ("Shared_Clean", 0),
            ("Shared_Dirty", 0),
            ("Private_Clean", 0),
            ("Private_Dirty", resident),
            ("Referenced", resident),
            ("Anonymous", resident),
            ("Swap", 0),
            ("SwapPss", 0),
            ("Locked", 0),
        ];
        for (name, kib) in rows {
            text.extend(format!("{:<16}{kib:>8} kB\n", format!("{name}:")).bytes());
        }
    }
    text
}

fn line(mm: &Mm, vma: &Vma, root: &Location) -> Vec<u8> {
    let bit = |prot: u32, letter: char| if vma.prot & prot != 0 { letter } else { '-' };
    let (r, w, x) = (bit(PROT_READ, 'r'), bit(PROT_WRITE, 'w'), bit(PROT_EXEC, 'x'));
    let s = if vma.is_shared() { 's' } else { 'p' };
    let (file, offset) = vma.file();
    let (device, ino) = file.map_or((0, 0), |file| (file.device(), file.ino().0));
    let range = format!("{:08x}-{:08x} {r}{w}{x}{s} {offset:08x}", vma.start, vma.end);
    let head = format!("{range} {:02x}:{:02x} {ino}", device_major(device), device_minor(device));
    let name = match file {
        Some(file) => file.path(root),
        None if vma.flags.grows_down => b"[stack]".to_vec(),
        None if vma.start == mm.vdso.get() => b"[vdso]".to_vec(),
        None if vma.flags.heap => b"[heap]".to_vec(),
        None => Vec::new(),
    };
    if name.is_empty() {
        return format!("{head} \n").into_bytes();
    }
    [format!("{head:<72} ").as_bytes(), &name, b"\n"].concat()
}

/// Pages: mapped, resident, shared, code, 0, data, 0.
pub fn statm(mm: &Rc<Mm>) -> String {
    let maps = mm.mappings();
    let pages_of =
        |wanted: &dyn Fn(&Vma) -> bool| maps.iter().filter(|vma| wanted(vma)).map(Vma::len).sum::<u64>() / PAGE_SIZE;
    let (size, code) = (mm.mapped_bytes() / PAGE_SIZE, pages_of(&|vma| vma.prot & PROT_EXEC != 0));
    let data = pages_of(&|vma| vma.prot & PROT_WRITE != 0 && !vma.is_shared());
    let resident = mm.space.borrow().present_pages();
    format!("{size} {resident} 0 {code} 0 {data} 0\n")
}
