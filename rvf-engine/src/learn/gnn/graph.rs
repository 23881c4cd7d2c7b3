//! [`Neighbourhood`]: candidates, what they are near to, and the edges between them, as plain values that were checked once.

/// An edge between two nodes, the same from both ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// The nodes, which differ.
    pub nodes: [usize; 2],
    /// Cosine similarity of the two documents.
    pub similarity: f32,
    /// How firmly the index links them: 1 where each is among the links of the other, 0.5 where only one is. Whoever has no index may give
    /// the share of common neighbours instead (Jaccard), also from 0 to 1; a model is trained and used with the same meaning.
    pub structure: f32,
}

/// What leads from a node to a neighbour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Link {
    pub(super) node: usize,
    /// Which edge it is.
    pub(super) edge: usize,
}

/// A graph of documents around a query, copied from an index by the caller: the candidates first, then nodes that are only seen through them.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbourhood {
    width: usize,
    /// Features of the nodes, one node after another.
    rows: Vec<f32>,
    ranked: usize,
    edges: Vec<Edge>,
    /// Where the links of each node start, and where the last ones end.
    starts: Vec<usize>,
    /// Links of each node by ascending neighbour.
    links: Vec<Link>,
}

impl Neighbourhood {
    /// A graph of nodes with `width` features each, `rows` one after another; the first `ranked` nodes are the candidates.
    ///
    /// `None` where the rows are not whole or not finite, there are fewer nodes than candidates, an edge leads outside, to itself, or stands
    /// there twice, or its numbers are not finite.
    pub fn new(width: usize, rows: Vec<f32>, ranked: usize, edges: Vec<Edge>) -> Option<Self> {
        let nodes = rows.len().checked_div(width)?;
        let is_sound = |edge: &Edge| {
            let [from, to] = edge.nodes;
            from < nodes && to < nodes && edge.similarity.is_finite() && edge.structure.is_finite()
        };
        let are_sound = nodes * width == rows.len()
            && ranked <= nodes
            && rows.iter().all(|x| x.is_finite())
            && edges.iter().all(is_sound);
        if !are_sound {
            return None;
        }
        let mut of_nodes: Vec<Vec<Link>> = vec![Vec::new(); nodes];
        for (at, edge) in edges.iter().enumerate() {
            let [from, to] = edge.nodes;
            of_nodes[from].push(Link { node: to, edge: at });
            of_nodes[to].push(Link { node: from, edge: at });
        }
        let (mut starts, mut links) = (vec![0], Vec::with_capacity(2 * edges.len()));
        for mut of_node in of_nodes {
            of_node.sort_unstable_by_key(|link| link.node);
            // An edge from a node to itself is there twice, too.
            if of_node.windows(2).any(|pair| pair[0].node == pair[1].node) {
                return None;
            }
            links.append(&mut of_node);
            starts.push(links.len());
        }
        Some(Self { width, rows, ranked, edges, starts, links })
    }

    /// Features of a node.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many of them, the first ones, are candidates.
    pub fn ranked(&self) -> usize {
        self.ranked
    }

    /// The edges.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The features of all nodes, one node after another.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// The same nodes with no edges between them: what a model of the graph is compared with.
    pub fn without_edges(&self) -> Self {
        let starts = vec![0; self.starts.len()];
        Self { edges: Vec::new(), links: Vec::new(), starts, ..self.clone() }
    }

    /// Where the links of a node stand among those of all.
    pub(super) fn start(&self, node: usize) -> usize {
        self.starts[node]
    }

    /// The links of a node, by ascending neighbour.
    pub(super) fn links(&self, node: usize) -> &[Link] {
        &self.links[self.starts[node]..self.starts[node + 1]]
    }

    /// One feature of each candidate.
    pub(super) fn column(&self, feature: usize) -> impl Iterator<Item = f32> {
        self.rows.chunks_exact(self.width).take(self.ranked).map(move |row| row.get(feature).copied().unwrap_or(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: usize, to: usize) -> Edge {
        Edge { nodes: [from, to], similarity: 0.5, structure: 1.0 }
    }

    #[test]
    fn edges_are_seen_from_both_ends() {
        let graph = Neighbourhood::new(2, vec![0.0; 8], 3, vec![edge(3, 0), edge(1, 0)]).unwrap();
        let of = |node| graph.links(node).iter().map(|link| (link.node, link.edge)).collect::<Vec<_>>();
        assert_eq!([of(0), of(1), of(2), of(3)], [vec![(1, 1), (3, 0)], vec![(0, 1)], vec![], vec![(0, 0)]]);
        assert_eq!((graph.nodes(), graph.ranked(), graph.width()), (4, 3, 2));
        let bare = graph.without_edges();
        assert!(
            bare.edges().is_empty() && (0..4).all(|node| bare.links(node).is_empty()) && bare.rows() == graph.rows()
        );
    }

    /// Catches each check that is left out.
    #[test]
    fn what_is_no_graph_is_refused() {
        let rows = vec![0.0; 8];
        let with = |edges| Neighbourhood::new(2, rows.clone(), 4, edges);
        assert!(with(vec![edge(0, 1), edge(1, 2)]).is_some() && with(vec![]).is_some());
        assert!(with(vec![edge(0, 4)]).is_none() && with(vec![edge(4, 0)]).is_none());
        assert!(with(vec![edge(2, 2)]).is_none());
        assert!(with(vec![edge(0, 1), edge(1, 0)]).is_none());
        assert!(with(vec![Edge { similarity: f32::NAN, ..edge(0, 1) }]).is_none());
        assert!(with(vec![Edge { structure: f32::INFINITY, ..edge(0, 1) }]).is_none());
        let new = |width, rows, ranked| Neighbourhood::new(width, rows, ranked, Vec::new()).is_some();
        assert!(!new(2, rows.clone(), 5) && !new(3, rows.clone(), 1) && !new(0, Vec::new(), 0));
        assert!(!new(2, vec![0.0, f32::NAN], 1) && new(2, Vec::new(), 0));
    }
}
