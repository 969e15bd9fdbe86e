//! Instruction sets. All give the same bits; they differ in speed only.

use hcddl_core::domain::OptionError;
use std::sync::OnceLock;

/// What this process computes with; decided once.
static CHOSEN: OnceLock<Isa> = OnceLock::new();

/// The instruction set that kernels are run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// No particular instructions; fused multiply-add comes from the compiler's library where the processor
    /// has none.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512F.
    Avx512,
    /// 64-bit ARM.
    Neon,
}

impl Isa {
    /// What this process computes with: the one that was [selected](Self::select) or else the best of this
    /// machine.
    #[must_use]
    pub fn best() -> Self {
        *CHOSEN.get_or_init(|| *Self::available().last().unwrap_or(&Self::Portable))
    }

    /// Decides what this process computes with, before anything else asks for it.
    ///
    /// # Errors
    /// A name that no instruction set has or that this machine cannot run; another one is in use already.
    pub fn select(name: &str) -> Result<Self, OptionError> {
        let Some(isa) = Self::available().iter().find(|isa| isa.name() == name) else {
            let names: Vec<&str> = Self::available().iter().map(|isa| isa.name()).collect();
            let known = [Self::Portable, Self::Avx2, Self::Avx512, Self::Neon].map(Self::name);
            let what = if known.contains(&name) {
                "kernels that this machine cannot run"
            } else {
                "unknown kernels"
            };
            return Err(OptionError::new("", format!("`{name}` names {what}"), names.join(", ")));
        };
        let used = *CHOSEN.get_or_init(|| *isa);
        if used != *isa {
            let message = format!("this process computes with {} already", used.name());
            return Err(OptionError::new("", message, used.name()));
        }
        Ok(used)
    }

    /// Those that this machine can run, the best last.
    #[must_use]
    pub fn available() -> &'static [Self] {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                return &[Self::Portable, Self::Avx2, Self::Avx512];
            }
            if avx2 {
                return &[Self::Portable, Self::Avx2];
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            return &[Self::Portable, Self::Neon];
        }
        #[allow(unreachable_code)]
        &[Self::Portable]
    }

    /// Its name, for the record of a run.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512f",
            Self::Neon => "neon",
        }
    }
}

/// Compiles a loop once for each instruction set: the body is plain Rust which the compiler vectorises for
/// the widest registers allowed, and `f32::mul_add` becomes one instruction.
macro_rules! multiversion {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? $body:block)+) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(isa: $crate::kernels::Isa, $($arg: $type),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $type),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $ret)? { body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f")]
            fn avx512($($arg: $type),*) $(-> $ret)? { body($($arg),*) }
            match isa {
                // SAFETY: `Isa::available` offers these only where the processor has the features.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::Isa::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::Isa::Avx512 => unsafe { avx512($($arg),*) },
                _ => body($($arg),*),
            }
        }
    )+};
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        let names: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
        assert_eq!(names[0], "portable");
        for (name, why) in [("sse", "unknown kernels"), ("", "unknown kernels")] {
            let error = Isa::select(name).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(&names.join(", ")), "{error}");
        }
        let foreign = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
        assert!(Isa::select(foreign).unwrap_err().to_string().contains("cannot run"));
        // Tests share a process, which computes with the best.
        assert_eq!(Isa::select(Isa::best().name()), Ok(Isa::best()));
        if Isa::best() != Isa::Portable {
            assert!(Isa::select("portable").unwrap_err().to_string().contains("already"));
        }
    }
}
