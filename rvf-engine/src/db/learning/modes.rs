//! Other answers than a list: the graph around results, and the soft nearest neighbours of a query.

use super::super::reader::decode;
use crate::learn::{SoftNeighbours, dot, normalise};
use crate::search::Hit;
use crate::store::{Id, RowId, Snapshot};
use crate::{Error, FeedbackFault, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Records of a subgraph at most: what is farther away is left out.
pub(super) const MOST_NODES: usize = 2_000;
/// Most hops from a result.
pub const MOST_HOPS: usize = 3;

/// Results with the graph that the index has around them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subgraph {
    /// Records: the results first, then what is one hop away from them, and so on.
    pub nodes: Vec<Node>,
    /// Links between them.
    pub edges: Vec<Edge>,
}

/// A record of a subgraph.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its id.
    pub id: Id,
    /// Links from the nearest result; 0 for a result.
    pub hops: usize,
}

/// A link of the index between two records of a subgraph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// Places among the nodes, the smaller first.
    pub between: [usize; 2],
    /// Cosine similarity of the records.
    pub similarity: f32,
    /// 1 for a link both ways, 0.5 for one way.
    pub structure: f32,
}

/// The soft nearest neighbours of a query: a search with a slope.
#[derive(Clone, Debug, PartialEq)]
pub struct Soft {
    /// How much each result counts: the softmax of cosine similarities at a temperature. They sum to 1.
    pub weights: Vec<f32>,
    /// The mean of their vectors, brought to unit length each, by these weights.
    pub vector: Vec<f32>,
    query: Vec<f32>,
    vectors: Vec<f32>,
    neighbours: SoftNeighbours,
}

impl Soft {
    /// The slope of a loss with respect to the query, from its slope with respect to [`Soft::vector`]; through the weights, and through bringing the
    /// query to unit length. `None` for a slope of another length or that is not finite.
    pub fn slope(&self, of_vector: &[f32]) -> Option<Vec<f32>> {
        self.neighbours.slope(&self.query, &self.vectors, of_vector)
    }
}

impl Snapshot {
    /// The graph of the index around results, up to so many hops (1 to 3) and 2,000 records. Without an index it has no edges.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&(0..4_000).map(|n| n as f32).collect::<Vec<f32>>())?;
    /// db.index(&IndexOptions::default(), &mut |_, _| std::ops::ControlFlow::Continue(()))?;
    /// let snapshot = db.snapshot();
    /// let hits = snapshot.search(&[10.0f32, 11.0]).k(3).run()?;
    /// let graph = snapshot.subgraph(&hits, 2)?;
    /// assert!(graph.nodes.len() > 3 && graph.nodes[3].hops == 1 && !graph.edges.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Corruption that is come upon.
    pub fn subgraph(&self, hits: &[Hit], hops: usize) -> Result<Subgraph> {
        self.settle(self.walk_around(hits, hops.min(MOST_HOPS)))
    }

    fn walk_around(&self, hits: &[Hit], hops: usize) -> Result<Subgraph> {
        let mut places: BTreeMap<RowId, usize> = BTreeMap::new();
        let mut rows: Vec<(RowId, usize)> = Vec::new();
        for hit in hits.iter().take(MOST_NODES) {
            if let Some(at) = self.find(hit.id.as_ref())? {
                places.entry(at).or_insert_with(|| {
                    rows.push((at, 0));
                    rows.len() - 1
                });
            }
        }
        let mut next = 0;
        while let Some((at, far)) = rows.get(next).copied().filter(|(_, far)| *far < hops) {
            next += 1;
            for to in self.linked_rows(at)? {
                if rows.len() < MOST_NODES && !places.contains_key(&to) {
                    places.insert(to, rows.len());
                    rows.push((to, far + 1));
                }
            }
        }
        let edges = self.edges_among(&rows, &places)?;
        let node = |(at, hops): &(RowId, usize)| Ok(Node { id: Id::from(self.id_of(*at)?), hops: *hops });
        Ok(Subgraph { nodes: rows.iter().map(node).collect::<Result<_>>()?, edges })
    }

    /// Live rows that the index links a row to.
    fn linked_rows(&self, at: RowId) -> Result<BTreeSet<RowId>> {
        let mut linked = BTreeSet::new();
        for (_, graph) in self.sound_graphs() {
            let Some(node) = graph.node_of(at) else { continue };
            for to in graph.linked_to(node).map(|to| graph.row_of(to)) {
                if to != at && !self.is_dead(to)? {
                    linked.insert(to);
                }
            }
        }
        Ok(linked)
    }

    fn edges_among(&self, rows: &[(RowId, usize)], places: &BTreeMap<RowId, usize>) -> Result<Vec<Edge>> {
        let mut structure: BTreeMap<[usize; 2], f32> = BTreeMap::new();
        for (place, (at, _)) in rows.iter().enumerate() {
            for other in self.linked_rows(*at)?.iter().filter_map(|to| places.get(to)) {
                *structure.entry([place.min(*other), place.max(*other)]).or_default() += 0.5;
            }
        }
        let vectors: Vec<Vec<f32>> = rows.iter().map(|(at, _)| self.unit(*at)).collect::<Result<_>>()?;
        let edge = |(between, structure): ([usize; 2], f32)| {
            let [a, b] = between.map(|at| vectors.get(at).map(Vec::as_slice).unwrap_or_default());
            Edge { between, similarity: dot(a, b), structure }
        };
        Ok(structure.into_iter().map(edge).collect())
    }

    /// The vector of a row, of unit length.
    pub(super) fn unit(&self, at: RowId) -> Result<Vec<f32>> {
        let mut vector = decode(self.schema().dtype, self.view(at.part)?.row(at.row));
        normalise(&mut vector);
        Ok(vector)
    }

    /// The soft nearest neighbours of a query among results, at a temperature above 0: the smaller, the more the nearest one counts.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::Cosine))?;
    /// db.add(&[1.0f32, 0.0, 0.0, 1.0])?;
    /// let (snapshot, query) = (db.snapshot(), [0.8f32, 0.6]);
    /// let soft = snapshot.soft(&query, &snapshot.search(&query).run()?, 0.1)?;
    /// assert!(soft.weights[0] > 0.8 && (soft.weights[0] + soft.weights[1] - 1.0).abs() < 1e-6);
    /// assert_eq!(soft.slope(&[1.0, 0.0]).map(|slope| slope.len()), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Feedback`] for a store of bits or a temperature that is not above 0, [`Error::Dimension`], [`Error::NotFinite`],
    /// corruption that is come upon.
    pub fn soft(&self, query: &[f32], hits: &[Hit], temperature: f32) -> Result<Soft> {
        let schema = self.schema();
        if !super::session::learns(self) {
            return Err(Error::Feedback(FeedbackFault::Bits));
        }
        self.search(query).check()?;
        let mut unit = query.to_vec();
        normalise(&mut unit);
        if unit.iter().all(|x| *x == 0.0) {
            return Err(Error::Feedback(FeedbackFault::Zero));
        }
        let mut vectors = Vec::new();
        for hit in hits {
            if let Some(at) = self.find(hit.id.as_ref())? {
                vectors.extend(self.unit(at)?);
            }
        }
        self.check()?;
        let dimension = schema.dimension as usize;
        let similarities: Vec<f32> = vectors.chunks_exact(dimension).map(|vector| dot(&unit, vector)).collect();
        let neighbours = SoftNeighbours::new(&similarities, &vectors, dimension, temperature);
        let neighbours = neighbours.ok_or(Error::Feedback(FeedbackFault::Temperature { temperature }))?;
        let (weights, vector) = (neighbours.weights.clone(), neighbours.vector.clone());
        Ok(Soft { weights, vector, query: query.to_vec(), vectors, neighbours })
    }
}
