//! A map by node in one sorted vector. Nodes of one kind are numbered in a row, so a look-up is usually one
//! comparison, and 10,000 children fit into the cache; a tree of them would not.

use super::NodeId;
use serde::{Deserialize, Serialize};
use std::ops::Index;

/// A map from nodes, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByNode<T>(Vec<(NodeId, T)>);

impl<T> Default for ByNode<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByNode<T> {
    /// Where a node is, or where it would be.
    fn find(&self, node: NodeId) -> Result<usize, usize> {
        let first = self.0.first().map_or(0, |entry| entry.0.0);
        let guess = node.0.wrapping_sub(first) as usize;
        match self.0.get(guess) {
            Some(entry) if entry.0 == node => Ok(guess),
            _ => self.0.binary_search_by_key(&node, |entry| entry.0),
        }
    }

    /// The value of a node.
    #[must_use]
    pub fn get(&self, node: &NodeId) -> Option<&T> {
        self.find(*node).ok().map(|at| &self.0[at].1)
    }

    /// The value of a node, to be changed.
    pub fn get_mut(&mut self, node: &NodeId) -> Option<&mut T> {
        self.find(*node).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether a node is there.
    #[must_use]
    pub fn contains_key(&self, node: &NodeId) -> bool {
        self.find(*node).is_ok()
    }

    /// Sets the value of a node; cheap for nodes that are there and for those after all others.
    pub fn insert(&mut self, node: NodeId, value: T) {
        match self.find(node) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (node, value)),
        }
    }

    /// All nodes and their values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &T)> {
        self.0.iter().map(|(node, value)| (node, value))
    }

    /// All values, in order of their nodes.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|entry| &entry.1)
    }
}

impl<T> Index<&NodeId> for ByNode<T> {
    type Output = T;
    fn index(&self, node: &NodeId) -> &T {
        self.get(node).expect("the node is in the map")
    }
}

impl<T> FromIterator<(NodeId, T)> for ByNode<T> {
    fn from_iter<I: IntoIterator<Item = (NodeId, T)>>(entries: I) -> Self {
        let mut map = Self::default();
        entries.into_iter().for_each(|(node, value)| map.insert(node, value));
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_nodes_in_a_row_and_with_gaps() {
        let map: ByNode<u32> = [9, 3, 4, 7, 5].map(|n| (NodeId(n), n * 10)).into_iter().collect();
        assert_eq!(map.iter().map(|e| e.0.0).collect::<Vec<_>>(), [3, 4, 5, 7, 9]);
        for node in 0..12 {
            let expected = [3, 4, 5, 7, 9].contains(&node).then_some(node * 10);
            assert_eq!(map.get(&NodeId(node)).copied(), expected);
        }
        let mut map = map;
        map.insert(NodeId(7), 1);
        *map.get_mut(&NodeId(3)).unwrap() = 2;
        assert_eq!((map[&NodeId(7)], map[&NodeId(3)], map.values().count()), (1, 2, 5));
    }
}
