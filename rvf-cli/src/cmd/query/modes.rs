//! Other answers than a list: the graph around the hits, soft neighbours.

use super::Searches;
use crate::failure::Failure;
use crate::output::{self, grouped};
use rvf_engine::{Hit, QueryVector, Soft, Subgraph};
use serde_json::{Value, json};

impl Searches<'_> {
    /// The graph around hits, where it is asked for.
    pub(super) fn subgraph(&self, hits: &[Hit]) -> Result<Option<Subgraph>, Failure> {
        let Some(hops) = self.args.subgraph else { return Ok(None) };
        let hops = usize::try_from(hops).unwrap_or(usize::MAX);
        self.snapshot.subgraph(hits, hops).map(Some).map_err(Failure::of(&self.args.file))
    }

    /// Soft neighbours among hits, where they are asked for.
    pub(super) fn soft(&self, query: &QueryVector<'_>, hits: &[Hit]) -> Result<Option<Soft>, Failure> {
        let Some(temperature) = self.args.soft else { return Ok(None) };
        let soft = self.snapshot.soft(&query.to_vec(), hits, temperature);
        soft.map(Some).map_err(Failure::of(&self.args.file))
    }

    /// Tells a person of both.
    pub(super) fn tell_modes(
        &self,
        hits: &[Hit],
        graph: Option<&Subgraph>,
        soft: Option<&Soft>,
    ) -> Result<(), Failure> {
        if let Some(soft) = soft {
            let row = |(hit, weight): (&Hit, &f32)| vec![hit.id.to_string(), format!("{weight:.4}")];
            self.ui.line("")?;
            self.ui
                .table(&["soft neighbour", "weight"], &hits.iter().zip(&soft.weights).map(row).collect::<Vec<_>>())?;
        }
        let Some(graph) = graph else { return Ok(()) };
        let (nodes, edges) = (grouped(graph.nodes.len() as u64), grouped(graph.edges.len() as u64));
        self.ui.line("")?;
        self.ui.line(format!("the graph around them: {nodes} records, {edges} links"))?;
        let row = |edge: &rvf_engine::GraphEdge| {
            let [a, b] = edge.between.map(|at| graph.nodes.get(at).map(|node| node.id.to_string()).unwrap_or_default());
            let ways = if edge.structure < 1.0 { "one way" } else { "both" };
            vec![a, b, format!("{:.4}", edge.similarity), ways.to_owned()]
        };
        let rows: Vec<Vec<String>> = graph.edges.iter().take(MOST_ROWS).map(row).collect();
        self.ui.table(&["from", "to", "similarity", "linked"], &rows)?;
        match graph.edges.len().saturating_sub(MOST_ROWS) {
            0 => Ok(()),
            more => self.ui.line(format!("and {} more: see --json", grouped(more as u64))),
        }
    }
}

/// Links that the table has at most.
const MOST_ROWS: usize = 20;

pub(super) fn graph_json(graph: &Subgraph) -> Value {
    let node = |node: &rvf_engine::GraphNode| json!({ "id": output::id(&node.id), "hops": node.hops });
    let edge = |edge: &rvf_engine::GraphEdge| {
        json!({
            "between": edge.between, "similarity": output::float(edge.similarity), "structure": output::float(edge.structure),
        })
    };
    json!({
        "nodes": graph.nodes.iter().map(node).collect::<Vec<Value>>(),
        "edges": graph.edges.iter().map(edge).collect::<Vec<Value>>(),
    })
}

pub(super) fn soft_json(soft: &Soft) -> Value {
    json!({ "weights": output::vector(&soft.weights), "vector": output::vector(&soft.vector) })
}
