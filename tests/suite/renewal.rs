//! When an index is renewed, and when it is left alone.

use rvf_engine::{Dtype, Effort, Id, Kind, Metric, OpenOptions};
use rvf_format::storage::Bytes;
use rvf_format::verify::{Options, verify_with};
use rvf_tests::indexed::{Clusters, Indexed, K, options, schema};
use rvf_tests::oracle::Rng;

/// Compacted by hand: what is looked at is the index.
fn store(rows: usize) -> (Indexed, Clusters, Vec<Id>) {
    let schema = schema(32, Dtype::F32, Metric::L2);
    let mut rng = Rng(7);
    let clusters = Clusters::new(&schema, 20, 0.1, &mut rng);
    let mut store = Indexed::new(schema, OpenOptions { manual_compaction: true, ..options(1) });
    let ids = store.add(clusters.many(rows, &mut rng));
    store.index();
    (store, clusters, ids)
}

/// Rows that were dead when a graph was written do not make it due again.
#[test]
fn what_was_renewed_is_left_alone() {
    for dead in [1200, 2400, 4700] {
        let (mut store, clusters, ids) = store(6000);
        store.delete(&ids[..dead]);
        store.index();
        let epoch = store.snapshot().epoch();
        assert!(!store.index().written, "{dead} dead: written again");
        let before = store.bytes().len();
        let mut rng = Rng(8);
        for _ in 0..3 {
            store.add(clusters.many(1, &mut rng));
        }
        assert_eq!(store.snapshot().epoch(), epoch + 3, "{dead} dead: a small commit renewed the index");
        let grown = store.bytes().len() - before;
        assert!(grown < 64 << 10, "{dead} dead: three records took {grown} bytes");
        store.verify("after small commits");
        let found = store.found(&clusters.many(40, &mut rng), K, Effort::default(), "renewed");
        assert!(found.recall >= 0.95, "{dead} dead: {found:?}");
    }
}

/// Renewed after a fifth died, a graph finds as much as a new one, at little effort too.
#[test]
fn a_renewed_graph_is_as_good_as_a_new_one() {
    for dead in [240, 1200, 3600] {
        let (mut store, clusters, ids) = store(6000);
        let every = ids.len() / dead;
        let victims: Vec<Id> = ids.iter().step_by(every).take(dead).cloned().collect();
        store.delete(&victims);
        store.add(clusters.many(10, &mut Rng(10)));
        store.index();
        let fresh = Indexed::fresh(*store.snapshot().schema(), &store.records);
        let queries = clusters.many(200, &mut Rng(9));
        for ef in [12, 24, 64] {
            let found = |store: &Indexed| store.found(&queries, K, Effort::Ef(ef), "renewed").recall;
            let (renewed, fresh) = (found(&store), found(&fresh));
            assert!(renewed >= fresh - 0.01, "{dead} dead, ef {ef}: {renewed} against {fresh}");
        }
    }
}

/// A byte of links or codes that is not what was committed: indexing and compaction make the graph anew.
#[test]
fn a_damaged_graph_is_made_anew() {
    for kind in [Kind::INDEX, Kind::QUANT] {
        for compacts in [false, true] {
            let (mut store, _, _) = store(3000);
            let segments = store.snapshot().segments().unwrap();
            let at = segments.iter().find(|segment| segment.live && segment.kind == kind).unwrap();
            let middle = at.offset + at.length / 2;
            store.damage(middle as usize);
            if compacts {
                store.compact(1);
            } else {
                assert!(store.index().written, "{kind}: the damaged graph was kept");
                store.compact(1);
            }
            let report = verify_with(&Bytes::from(store.bytes()), &Options { deep: true }, &mut |_, _| {}).unwrap();
            assert!(report.sound && report.findings.is_empty(), "{kind}: {:?}", report.findings);
            assert_eq!(store.snapshot().indexed(), 3000);
        }
    }
}
