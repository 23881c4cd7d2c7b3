//! What a branch shows of its parent, and chains of branches that are wrong.

use std::collections::HashMap;

use super::super::{Fault, LegacyError, LegacyFile, MAX_PARENTS, Metric, ParentRequest, Warning, Why};
use super::made::{Made, ManifestFields, cow_map, membership};
use super::{firsts, sample};

const PARENT: [u8; 16] = [1; 16];
const CHILD: [u8; 16] = [2; 16];

fn parent() -> Vec<u8> {
    let rows: Vec<_> = (0..6).map(|id| (id, id as f32)).collect();
    Made::default().vectors(4, &rows).manifest(&ManifestFields::new(4, 6))
}

struct Child {
    map: Vec<u8>,
    members: Option<Vec<u8>>,
    rows: Vec<(u64, f32)>,
    fields: ManifestFields,
}

impl Child {
    /// Shows 0 to 4, overrides 1, adds 40.
    fn new() -> Self {
        let mut fields = ManifestFields::new(4, 2);
        (fields.file_id, fields.parent_id) = (CHILD, PARENT);
        Self {
            map: cow_map("p.rvf", PARENT, &parent(), 1),
            members: Some(membership(0, 6, 0b1_1111)),
            rows: vec![(1, 10.0), (40, 40.0)],
            fields,
        }
    }

    fn write(&self) -> Vec<u8> {
        let mut made = Made::default();
        made.segment(0x20, &self.map);
        if let Some(members) = &self.members {
            made.segment(0x22, members);
        }
        made.vectors(self.fields.dimension, &self.rows);
        made.manifest(&self.fields)
    }

    fn open_on(&self, parent: Vec<u8>) -> Result<LegacyFile<Vec<u8>>, LegacyError> {
        LegacyFile::open_with(self.write(), |_| Ok::<_, String>(parent.clone()))
    }
}

fn ids(child: &Child) -> Vec<u64> {
    child.open_on(parent()).unwrap().rows().map(|row| row.id).collect()
}

fn fault(child: &Child) -> Fault {
    match child.open_on(parent()).unwrap_err() {
        LegacyError::Malformed { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn members_overrides_and_additions() {
    let file = Child::new().open_on(parent()).unwrap();
    assert_eq!(firsts(&file), [(0, 0.0), (1, 10.0), (2, 2.0), (3, 3.0), (4, 4.0), (40, 40.0)]);
    assert_eq!((file.report().warnings.as_slice(), file.live_count()), (&[][..], 6));
}

#[test]
fn a_deleted_id_shows_neither_from_the_child_nor_the_parent() {
    let mut child = Child::new();
    child.fields.deleted = vec![1, 2, 40];
    assert_eq!(ids(&child), [0, 3, 4]);
}

#[test]
fn excluded_members() {
    let mut child = Child::new();
    child.members = Some(membership(1, 6, 0b1101));
    assert_eq!(ids(&child), [1, 4, 5, 40]);
    // Of id 5 nothing is said.
    child.members = Some(membership(1, 5, 0b1101));
    assert_eq!(fault(&child), Fault::Disagree("the number of ids"));
}

#[test]
fn ids_beyond_the_members_do_not_show() {
    let mut child = Child::new();
    child.members = Some(membership(0, 3, 0b1_1111));
    assert_eq!(ids(&child), [0, 1, 2, 40]);
}

#[test]
fn a_map_that_this_reader_would_misread() {
    let with = |map: Vec<u8>| Child { map, ..Child::new() };
    let map = |path| cow_map(path, PARENT, &parent(), 1);
    assert_eq!(fault(&with(cow_map("p", PARENT, &parent(), 2))), Fault::Field { name: "cluster tag", value: 2 });
    for path in ["", "/etc/passwd", "\\\\host\\p", "C:p", "a\0b"] {
        assert_eq!(fault(&with(map(path))), Fault::ParentPath, "{path:?}");
    }
    let mut long = map("p.rvf");
    long[73..77].fill(0xff);
    assert_eq!(fault(&with(long)), Fault::Short("the path of the parent"));
    let mut many = map("p.rvf");
    many[87..91].fill(0xff);
    assert_eq!(fault(&with(many)), Fault::Count { of: "clusters", count: u32::MAX.into() });
    assert_eq!(fault(&with(cow_map("p", [9; 16], &[], 1))), Fault::Disagree("the parent's file id"));
}

#[test]
fn members_that_contradict_themselves() {
    let with = |members: Option<Vec<u8>>| Child { members, ..Child::new() };
    assert_eq!(fault(&with(None)), Fault::NoMembership);
    assert_eq!(fault(&with(Some(membership(2, 6, 1)))), Fault::Field { name: "mode", value: 2 });
    assert_eq!(fault(&with(Some(membership(0, 65, 1)))), Fault::Disagree("the number of ids"));
    let mut miscounted = membership(0, 6, 1);
    miscounted[16] = 2;
    assert_eq!(fault(&with(Some(miscounted))), Fault::Disagree("the number of members"));
    let mut unhashed = membership(0, 6, 1);
    unhashed[40] ^= 1;
    assert_eq!(fault(&with(Some(unhashed))), Fault::Disagree("the hash of the bits"));
}

#[test]
fn a_missing_or_wrong_parent() {
    let child = Child::new();
    let error = LegacyFile::open(child.write()).unwrap_err();
    assert!(matches!(error, LegacyError::ParentUnavailable { ref path, .. } if path == "p.rvf"), "{error}");
    let wrong = child.open_on(sample("branch_parent_400x32.rvf")).unwrap_err();
    assert!(matches!(wrong, LegacyError::WrongParent { expected: PARENT, .. }), "{wrong}");
    let narrow = Made::default().vectors(3, &[(1, 1.0)]).manifest(&ManifestFields::new(3, 1));
    assert_eq!(child.open_on(narrow).unwrap_err(), LegacyError::ParentDimension { child: 4, parent: 3 });
    let mut damaged = parent();
    damaged[70] ^= 1;
    let error = child.open_on(damaged).unwrap_err();
    assert_eq!((error.clause(), error.at()), ("PUB-HASH", Some(0)));
    assert!(matches!(error, LegacyError::InParent { generation: 1, .. }), "{error}");
}

#[test]
fn a_changed_parent_is_a_warning() {
    let mut fields = ManifestFields::new(4, 1);
    fields.metric = 2;
    let changed = Made::default().vectors(4, &[(0, 7.0)]).manifest(&fields);
    let file = Child::new().open_on(changed).unwrap();
    assert_eq!(firsts(&file), [(0, 7.0), (1, 10.0), (40, 40.0)]);
    let expected = [Warning::ParentChanged, Warning::ParentMetric { parent: Metric::Cosine }];
    assert_eq!(file.report().warnings, expected);
}

/// `rvf filter` of the published crates writes such files, and their readers take no notice.
#[test]
fn members_in_a_file_that_is_no_branch() {
    let mut made = Made::default();
    made.vectors(4, &[(1, 1.0), (2, 2.0)]).segment(0x22, &membership(0, 6, 0b10));
    let file = LegacyFile::open(made.manifest(&ManifestFields::new(4, 2))).unwrap();
    assert_eq!(firsts(&file), [(1, 1.0), (2, 2.0)]);
    assert_eq!(file.report().segments_skipped[0].why, Why::NotABranch);
}

/// The file with id `n`, a branch of the one with id `parent`.
fn link(n: u8, parent: u8) -> Vec<u8> {
    let mut child = Child::new();
    (child.fields.file_id, child.fields.parent_id) = ([n; 16], [parent; 16]);
    child.map = cow_map("p", [parent; 16], &[], 1);
    child.rows = vec![(n.into(), 0.0)];
    child.members = Some(membership(0, 64, u64::MAX));
    child.write()
}

fn open_links(links: &HashMap<[u8; 16], Vec<u8>>, first: u8) -> (Result<LegacyFile<Vec<u8>>, LegacyError>, u32) {
    let mut asked = 0;
    let resolve = |request: &ParentRequest<'_>| {
        asked += 1;
        assert_eq!(request.generation, asked);
        links.get(&request.file_id).cloned().ok_or("not there")
    };
    (LegacyFile::open_with(links[&[first; 16]].clone(), resolve), asked)
}

#[test]
fn a_file_that_is_its_own_ancestor() {
    let links = HashMap::from([([1; 16], link(1, 1)), ([2; 16], link(2, 3)), ([3; 16], link(3, 2))]);
    let (found, asked) = open_links(&links, 1);
    assert_eq!((found.unwrap_err(), asked), (LegacyError::Cycle { file_id: [1; 16] }, 0));
    let (found, asked) = open_links(&links, 2);
    assert_eq!((found.unwrap_err(), asked), (LegacyError::Cycle { file_id: [2; 16] }, 1));
}

#[test]
fn long_chains() {
    let mut links: HashMap<_, _> = (2..=200).map(|n| ([n; 16], link(n, n - 1))).collect();
    links.insert([1; 16], parent());
    let last = 1 + MAX_PARENTS as u8;
    let (found, asked) = open_links(&links, last);
    let file = found.unwrap();
    assert_eq!((file.ancestors().len(), asked), (MAX_PARENTS as usize, MAX_PARENTS));
    assert!(file.report().warnings.contains(&Warning::BranchOfBranch));
    // Ids up to 63 are members all the way; 64 is the parent's own and is hidden; 65 is the file's own.
    assert_eq!(file.live_count(), 64 + 1);
    assert_eq!(open_links(&links, last + 1).0.unwrap_err(), LegacyError::TooDeep);
}
