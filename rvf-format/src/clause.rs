//! Clause ids: one for every sentence of the specification that a file can break.

use core::fmt;

macro_rules! clauses {
    ($($variant:ident $id:literal $summary:literal,)*) => {
        /// A sentence of the specification that a file can break.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Clause {
            $(#[doc = concat!("`", $id, "`: ", $summary)] $variant,)*
        }

        impl Clause {
            /// Every clause, in the order of the specification.
            pub const ALL: &'static [Clause] = &[$(Clause::$variant,)*];

            /// The id that the specification, the fixtures and the findings use.
            pub const fn id(self) -> &'static str {
                match self { $(Clause::$variant => $id,)* }
            }

            /// What the clause asks, in a few words.
            pub const fn summary(self) -> &'static str {
                match self { $(Clause::$variant => $summary,)* }
            }
        }
    };
}

clauses! {
    Seg1 "SEG-1" "a segment starts on a page with magic and version, right after the one before",
    Seg2 "SEG-2" "a segment is whole pages, at most 4 GiB, and ends before the newest root does",
    Seg3 "SEG-3" "unused header fields are zero and the checksum is XXH3-128",
    Seg4 "SEG-4" "the content hash is that of the payload",
    Seg5 "SEG-5" "segment ids are unique and below the next one",
    File1 "FILE-1" "the first segment is a FILE segment of one page",
    File2 "FILE-2" "all three copies of the identity are whole and equal",
    File3 "FILE-3" "the format version is 1",
    File4 "FILE-4" "the page size is 4,096",
    Pay1 "PAY-1" "a payload has a known form and version",
    Pay2 "PAY-2" "sections are aligned, in order, apart and inside the segment",
    Pay3 "PAY-3" "bytes outside sections are zero",
    Pay4 "PAY-4" "no page but a root begins with the root magic",
    Pay6 "PAY-6" "required sections are present with the right length",
    Tree1 "TREE-1" "the nodes of a hash tree lead to the segment's hash",
    Tree2 "TREE-2" "each large segment has one hash tree",
    Vec1 "VEC-1" "a VEC segment agrees with schema and manifest",
    Vec2 "VEC-2" "components are finite, rows fit the metric",
    Vec3 "VEC-3" "the order of ids is right",
    Vec4 "VEC-4" "ids are well-formed",
    Vec5 "VEC-5" "at most one row of an id is live",
    Jnl1 "JNL-1" "journal words ascend and name rows that exist",
    Meta1 "META-1" "facts about the file are well-formed",
    Meta2 "META-2" "metadata agrees with its entry, its columns lie within the segment",
    Meta3 "META-3" "values of metadata are well-formed",
    Meta4 "META-4" "a META segment of columns is that of one VEC segment",
    Meta5 "META-5" "a field is of one type in all segments",
    Mix1 "MIX-1" "a META_IDX belongs to the META segment of the same rows",
    Mix2 "MIX-2" "a META_IDX finds what its META segment holds",
    Wit1 "WIT-1" "audit entries are well-formed",
    Wit2 "WIT-2" "audit entries are consecutive and linked by hash",
    Wit3 "WIT-3" "the audit entry of a root agrees with it",
    Aud1 "AUD-1" "the tree over the audit entries is that of the entries",
    Sig1 "SIG-1" "a CRYPTO segment holds well-formed notes about this file",
    Sig2 "SIG-2" "a note states what the audit entries say",
    Sig3 "SIG-3" "the newest commit of a file with a policy is signed",
    Sig4 "SIG-4" "the newest commit is signed by a key that was given",
    Sig5 "SIG-5" "the file goes on from what was seen of it before",
    Idx1 "IDX-1" "the facts of an INDEX agree with schema, manifest and each other",
    Idx2 "IDX-2" "an INDEX covers whole VEC segments, and no two cover one",
    Idx3 "IDX-3" "links, pivots, cells and effort of an INDEX are well-formed",
    Idx4 "IDX-4" "the walk rows of pivots are those of their nodes",
    Idx5 "IDX-5" "a walk reaches as many nodes as it says, and every live row",
    Qnt1 "QNT-1" "a QUANT agrees with schema and manifest, and goes with one INDEX",
    Qnt2 "QNT-2" "codes are those of their rows",
    Fill1 "FILL-1" "a FILLER holds zero bytes",
    Brn1 "BRN-1" "a root names its parent wholly or not at all",
    Brn2 "BRN-2" "inherited rows and those of a branch's own are apart",
    Cow1 "COW-1" "a set of rows is well-formed",
    Ref1 "REF-1" "entries of a REFCOUNT are in order, their epochs pinned",
    Fbk1 "FBK-1" "feedback is well-formed and fits the file",
    Tns1 "TNS-1" "learned tensors are well-formed",
    Root1 "ROOT-1" "the root has a known version",
    Root2 "ROOT-2" "the root's checksum is right",
    Root3 "ROOT-3" "the root names its own place, file and manifest",
    Root4 "ROOT-4" "reserved fields of the root are zero",
    Root5 "ROOT-5" "dimension, dtype, metric and id type go together",
    Root6 "ROOT-6" "the previous root is whole, earlier and older",
    Root7 "ROOT-7" "counts and next numbers of the root agree with its segments",
    Root8 "ROOT-8" "schema, creation time, file id and parent never change",
    Man1 "MAN-1" "the manifest hash in the root is right",
    Man2 "MAN-2" "a manifest is full or follows the one before",
    Man3 "MAN-3" "added and removed segments are in order and exist",
    Man4 "MAN-4" "an entry agrees with the segment's header",
    Man5 "MAN-5" "the hash of a listed segment is right",
    Man6 "MAN-6" "row ranges do not overlap",
    Man7 "MAN-7" "the state hash is right",
    Man8 "MAN-8" "every segment is listed by a manifest of the chain",
    Man9 "MAN-9" "facts of the manifest are well-formed",
    Tail1 "TAIL-1" "the file ends with a whole root",
    Tail2 "TAIL-2" "an uncommitted tail holds no manifest",
    Ver1 "VER-1" "no unknown incompatible feature is set",
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
