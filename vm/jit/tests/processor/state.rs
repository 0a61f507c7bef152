//! What is loaded before an instruction and compared after it.

use cpu::fpu::F80;
use cpu::state::MXCSR_DEFAULT;
use cpu::{CpuState, rflags};

use super::generate::Case;

/// Registers of either side.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub gpr: [u64; 16],
    pub flags: u64,
    /// Of FS and GS.
    pub bases: [u64; 2],
    pub xmm: [u128; 16],
    /// ST(0) to ST(7).
    pub st: [F80; 8],
    pub control: u16,
    pub status: u16,
    pub valid: u8,
    pub mxcsr: u32,
}

impl State {
    pub fn to_cpu(&self, cpu: &mut CpuState) {
        cpu.slots[..16].copy_from_slice(&self.gpr);
        cpu.vectors[..16].copy_from_slice(&self.xmm);
        cpu.set_rflags(self.flags);
        cpu.set_fs_base(self.bases[0]);
        cpu.set_gs_base(self.bases[1]);
        // With the default, arithmetic is the host's.
        (cpu.mxcsr, cpu.looks_at_mxcsr) = (self.mxcsr, self.mxcsr != MXCSR_DEFAULT);
        cpu.fpu.control = self.control;
        cpu.fpu.set_status_word(self.status);
        cpu.fpu.valid = self.valid;
        for i in 0..8 {
            let register = cpu.fpu.physical(i);
            cpu.fpu.registers[register] = self.st[usize::from(i)];
        }
    }

    pub fn from_cpu(cpu: &CpuState) -> Self {
        Self {
            gpr: cpu.slots[..16].try_into().unwrap(),
            flags: cpu.rflags(),
            bases: [cpu.fs_base(), cpu.gs_base()],
            xmm: cpu.vectors[..16].try_into().unwrap(),
            st: std::array::from_fn(|i| cpu.fpu.registers[cpu.fpu.physical(i as u8)]),
            control: cpu.fpu.control,
            status: cpu.fpu.status_word(),
            valid: cpu.fpu.valid,
            mxcsr: cpu.mxcsr,
        }
    }
}

/// What an instruction left behind.
pub struct Outcome {
    pub state: State,
    pub rip: u64,
    pub data: Vec<u8>,
    /// Name of the signal it ended in.
    pub signal: Option<&'static str>,
}

impl Outcome {
    /// The first thing in which `other` (ours) differs from this (the processor's), if any.
    pub fn difference(&self, other: &Outcome, case: &Case) -> Option<String> {
        if self.signal != other.signal {
            return Some(format!("signal {:?}, ours {:?}; {}", self.signal, other.signal, case.inputs()));
        }
        // After a fault too: nothing may have changed.
        let names = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15";
        for (i, name) in names.split(' ').enumerate() {
            if self.state.gpr[i] != other.state.gpr[i] {
                return Some(format!(
                    "{name} {:#x} -> {:#x}, ours {:#x}; {}",
                    case.state.gpr[i],
                    self.state.gpr[i],
                    other.state.gpr[i],
                    case.inputs()
                ));
            }
        }
        if self.state.bases != other.state.bases {
            return Some(format!("bases {:x?}, ours {:x?}", self.state.bases, other.state.bases));
        }
        if self.rip != other.rip {
            return Some(format!("rip {:#x}, ours {:#x}", self.rip, other.rip));
        }
        let compared = (rflags::STATUS | rflags::DF) & !case.undefined_flags();
        if (self.state.flags ^ other.state.flags) & compared != 0 {
            return Some(format!(
                "flags {:#x} -> {:#x}, ours {:#x} (of {compared:#x}); {}",
                case.state.flags & 0xcd5,
                self.state.flags & 0xcd5,
                other.state.flags & 0xcd5,
                case.inputs()
            ));
        }
        for i in 0..16 {
            if self.state.xmm[i] != other.state.xmm[i] {
                return Some(format!(
                    "xmm{i} {:#034x} -> {:#034x}, ours {:#034x}; {}",
                    case.state.xmm[i],
                    self.state.xmm[i],
                    other.state.xmm[i],
                    case.inputs()
                ));
            }
        }
        let (real, ours) = (self.state.mxcsr, other.state.mxcsr);
        // What happens goes unnoticed as long as nobody looks.
        let is_ignored = case.state.mxcsr == MXCSR_DEFAULT && ours == MXCSR_DEFAULT && real & !0x3f == MXCSR_DEFAULT;
        if real != ours && !is_ignored {
            return Some(format!("mxcsr {:#x} -> {real:#x}, ours {ours:#x}; {}", case.state.mxcsr, case.inputs()));
        }
        if let Some(at) = (0..self.data.len()).find(|at| self.data[*at] != other.data[*at]) {
            let word = |data: &[u8]| format!("{:02x?}", &data[at..(at + 16).min(data.len())]);
            return Some(format!(
                "memory at +{at:#x}: {}, ours {}; {}",
                word(&self.data),
                word(&other.data),
                case.inputs()
            ));
        }
        self.fpu_difference(other, case)
    }

    fn fpu_difference(&self, other: &Outcome, case: &Case) -> Option<String> {
        // An instruction with MMX registers whose store faults leaves the x87 stack half reset.
        let has_mmx = [case.instruction.op0_register(), case.instruction.op1_register()].iter().any(|r| r.is_mm());
        let half_done = self.signal.is_some_and(|signal| signal != "SIGFPE") && has_mmx;
        if !case.uses_fpu() || half_done {
            return None;
        }
        let (a, b) = (&self.state, &other.state);
        if a.valid != b.valid || a.control != b.control || a.status != b.status {
            return Some(format!(
                "x87 control {:#x} status {:#x} valid {:#x}, ours {:#x} {:#x} {:#x}; {}",
                a.control,
                a.status,
                a.valid,
                b.control,
                b.status,
                b.valid,
                case.inputs()
            ));
        }
        let top = a.status >> 11 & 7;
        for i in 0..8 {
            let valid = a.valid >> ((top + i) & 7) & 1 != 0;
            let (x, y) = (a.st[usize::from(i)], b.st[usize::from(i)]);
            if valid && x != y {
                return Some(format!("st{i} {x:x?}, ours {y:x?}; {}", case.inputs()));
            }
        }
        None
    }
}
