//! Golden branches: a parent, two branches of different commits of it, a branch of one of these. They lie in one folder and name each
//! other by their names alone.
//!
//! ```text
//! branch-parent --3--> branch-child-a --5--> branch-grandchild
//!               --6--> branch-child-b: what has a number below 12
//! ```

use crate::golden::{Golden, Model};
use rvf_engine::{Metric, Schema, Value};

type Fields = Vec<(String, Value)>;

fn fields(n: u64, round: u64) -> Fields {
    let word = format!("w\u{f6}rd {} of round {round}", n % 5);
    let mut fields = vec![("number".to_owned(), Value::I64(n as i64)), ("word".to_owned(), word.into())];
    if n.is_multiple_of(3) {
        fields.push(("tags".to_owned(), Value::List(vec!["three".into(), format!("tag {}", n % 4)])));
    }
    fields
}

fn set(name: &str, value: Value) -> Fields {
    vec![(name.to_owned(), value)]
}

/// The four files.
pub fn all() -> Vec<Golden> {
    let mut parent = Model::at("branch-parent.rvf", Schema::new(4, Metric::L2), 21);
    parent.put_fields((0..40).map(|n| (n, fields(n, 0))));
    parent.delete([5]);
    let mut child_a = parent.branch("branch-child-a.rvf", 22, None);
    parent.put_fields([(2, fields(2, 1)), (50, fields(50, 1))]);
    parent.update([(7, set("word", "changed".into())), (11, set("number", Value::Null))]);
    let child_b = parent.branch("branch-child-b.rvf", 23, Some(("number < 12", |n| n < 12 && n != 11)));
    let grandchild = edit(&mut child_a);
    parent.delete([9, 10]);
    parent.compact(1);
    parent.put_fields([(3, fields(3, 2))]);
    let files = [
        (parent, "branch-parent"),
        (child_a, "branch-child-a"),
        (edited_view(child_b), "branch-child-b"),
        (grandchild, "branch-grandchild"),
    ];
    files.map(|(model, name)| model.finish_with(name, 4, 5)).into()
}

/// Every kind of edit, of inherited records and of own ones; a branch in between.
fn edit(child: &mut Model) -> Model {
    child.put_fields([(3, fields(3, 10)), (100, fields(100, 10)), (101, fields(101, 10))]);
    child.delete([8, 100]);
    child.update([
        (7, set("word", "overlaid".into())),
        (10, set("tags", Value::List(Vec::new()))),
        (101, set("extra", 0.5.into())),
    ]);
    child.update([(7, set("number", Value::Null)), (12, set("word", Value::Null))]);
    let mut grandchild = child.branch("branch-grandchild.rvf", 24, None);
    child.put_fields([(12, fields(12, 11))]);
    child.delete([0]);
    child.update([(3, set("word", "late".into()))]);

    grandchild.put_fields([(0, fields(0, 20)), (3, fields(3, 20)), (200, fields(200, 20))]);
    grandchild.delete([1, 101]);
    grandchild.update([
        (2, set("extra", 1.5.into())),
        (7, set("word", "twice overlaid".into())),
        (12, set("word", "again".into())),
    ]);
    grandchild
}

/// What a view sees, changed; a record from outside it under its own id.
fn edited_view(mut child: Model) -> Model {
    child.update([(2, set("word", "seen".into()))]);
    child.delete([3, 4]);
    child.put_fields([(6, fields(6, 30)), (30, fields(30, 30))]);
    child
}
