//! Segment kinds and their codes: the one table of the code.

use core::fmt;

/// A segment kind: its code byte. Unknown codes are kept as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(pub u8);

macro_rules! kinds {
    ($($code:literal $const:ident $name:literal $state:literal,)*) => {
        impl Kind {
            $(#[doc = concat!("`", $name, "`")] pub const $const: Kind = Kind($code);)*

            /// Every kind with a code in this version: code, name, whether it enters the state hash.
            pub const TABLE: &'static [(u8, &'static str, bool)] = &[$(($code, $name, $state),)*];
        }
    };
}

kinds! {
    0x01 VEC "VEC" true,
    0x02 INDEX "INDEX" true,
    0x03 OVERLAY "OVERLAY" true,
    0x04 JOURNAL "JOURNAL" true,
    0x05 MANIFEST "MANIFEST" false,
    0x06 QUANT "QUANT" true,
    0x07 META "META" true,
    0x08 HOT "HOT" true,
    0x09 SKETCH "SKETCH" true,
    0x0A WITNESS "WITNESS" false,
    0x0B PROFILE "PROFILE" true,
    0x0C CRYPTO "CRYPTO" false,
    0x0D META_IDX "META_IDX" true,
    0x0E KERNEL "KERNEL" true,
    0x0F EBPF "EBPF" true,
    0x10 WASM "WASM" true,
    0x11 DASHBOARD "DASHBOARD" true,
    0x20 COW_MAP "COW_MAP" true,
    0x21 REFCOUNT "REFCOUNT" true,
    0x22 MEMBERSHIP "MEMBERSHIP" true,
    0x23 DELTA "DELTA" true,
    0x30 TRANSFER_PRIOR "TRANSFER_PRIOR" true,
    0x31 POLICY_KERNEL "POLICY_KERNEL" true,
    0x32 COST_CURVE "COST_CURVE" true,
    0x33 FEDERATED_MANIFEST "FEDERATED_MANIFEST" true,
    0x34 DIFF_PRIVACY_PROOF "DIFF_PRIVACY_PROOF" true,
    0x35 REDACTION_LOG "REDACTION_LOG" true,
    0x36 AGGREGATE_WEIGHTS "AGGREGATE_WEIGHTS" true,
    0x40 FILE "FILE" true,
    0x41 FILLER "FILLER" false,
    0x42 GRAPH "GRAPH" true,
    0x43 TREE "TREE" true,
    0x44 FEEDBACK "FEEDBACK" true,
}

impl Kind {
    /// The name in the specification, or `None` for a code without one.
    pub fn name(self) -> Option<&'static str> {
        Self::TABLE.iter().find(|row| row.0 == self.0).map(|row| row.1)
    }

    /// Whether the kind enters the state hash; unknown kinds do.
    pub fn in_state(self) -> bool {
        Self::TABLE.iter().find(|row| row.0 == self.0).is_none_or(|row| row.2)
    }

    /// Whether this version gives the kind's payload a meaning, and so parses it.
    pub fn has_payload_rules(self) -> bool {
        matches!(
            self,
            Kind::VEC
                | Kind::JOURNAL
                | Kind::MANIFEST
                | Kind::META
                | Kind::META_IDX
                | Kind::DELTA
                | Kind::WITNESS
                | Kind::CRYPTO
                | Kind::FILE
                | Kind::FILLER
                | Kind::TREE
                | Kind::INDEX
                | Kind::QUANT
                | Kind::COW_MAP
                | Kind::MEMBERSHIP
                | Kind::REFCOUNT
                | Kind::FEEDBACK
                | Kind::GRAPH
                | Kind::OVERLAY
                | Kind::POLICY_KERNEL
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&format!("0x{:02X}", self.0)),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
