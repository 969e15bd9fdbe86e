//! The jobs under way, found by their key or by the name that their node gave them.

use hcddl_core::domain::{JobId, NodeId};

/// A job that has begun and whose end its node has not seen.
pub trait Begun {
    /// Whose it is, and what its node calls it.
    fn name(&self) -> (NodeId, JobId);
}

/// See the module. A key is the job's place below, and above it a serial number, which tells a job from those
/// that had the place before.
pub struct Jobs<J> {
    places: Vec<Option<(u64, J)>>,
    free: Vec<u32>,
    serial: u64,
    /// Names and keys of each node's jobs, oldest first.
    of_node: Vec<Vec<(JobId, u64)>>,
}

const PLACE_BITS: u32 = 32;

fn place(key: u64) -> usize {
    key as u32 as usize
}

impl<J: Begun> Jobs<J> {
    pub fn new(nodes: usize) -> Self {
        Self { places: Vec::new(), free: Vec::new(), serial: 0, of_node: vec![Vec::new(); nodes] }
    }

    /// The jobs of a saved run.
    pub fn restore(nodes: usize, serial: u64, jobs: impl IntoIterator<Item = (u64, J)>) -> Self {
        let mut all = Self { serial, ..Self::new(nodes) };
        for (key, job) in jobs {
            if all.places.len() <= place(key) {
                all.places.resize_with(place(key) + 1, || None);
            }
            let (node, name) = job.name();
            all.of_node[node.index()].push((name, key));
            all.places[place(key)] = Some((key, job));
        }
        all.of_node.iter_mut().for_each(|names| names.sort_unstable());
        all.free = (0..all.places.len() as u32).filter(|p| all.places[*p as usize].is_none()).collect();
        all
    }

    /// Jobs begun so far.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The key that the next job gets.
    pub fn next_key(&self) -> u64 {
        let place = self.free.last().copied().unwrap_or(self.places.len() as u32);
        ((self.serial + 1) << PLACE_BITS) | u64::from(place)
    }

    /// Adds a job under [`Jobs::next_key`], which it returns.
    pub fn insert(&mut self, job: J) -> u64 {
        let key = self.next_key();
        self.serial += 1;
        let (node, name) = job.name();
        self.of_node[node.index()].push((name, key));
        match self.free.pop() {
            Some(place) => self.places[place as usize] = Some((key, job)),
            None => self.places.push(Some((key, job))),
        }
        key
    }

    /// The job of this key, unless it was given up.
    pub fn get_mut(&mut self, key: u64) -> Option<&mut J> {
        self.places.get_mut(place(key))?.as_mut().filter(|(of, _)| *of == key).map(|(_, job)| job)
    }

    /// The job of this key, unless it was given up.
    pub fn get(&self, key: u64) -> Option<&J> {
        self.places.get(place(key))?.as_ref().filter(|(of, _)| *of == key).map(|(_, job)| job)
    }

    /// Takes a job out; `None` if it was given up.
    pub fn remove(&mut self, key: u64) -> Option<J> {
        let found = self.places.get_mut(place(key))?;
        let (_, job) = found.take_if(|(of, _)| *of == key)?;
        self.free.push(place(key) as u32);
        self.of_node[job.name().0.index()].retain(|(_, of)| *of != key);
        Some(job)
    }

    /// The key of the job to which its node gave this name.
    pub fn named(&self, node: NodeId, job: JobId) -> Option<u64> {
        self.of_node[node.index()].iter().find(|(name, _)| *name == job).map(|(_, key)| *key)
    }

    /// The keys of a node's jobs, oldest first.
    pub fn of(&self, node: NodeId) -> Vec<u64> {
        self.of_node[node.index()].iter().map(|(_, key)| *key).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Every job with its key.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut J)> {
        self.places.iter_mut().flatten().map(|(key, job)| (*key, job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Named(u32, u64);

    impl Begun for Named {
        fn name(&self) -> (NodeId, JobId) {
            (NodeId(self.0), JobId(self.1))
        }
    }

    #[test]
    fn a_key_is_never_that_of_another_job() {
        let mut jobs = Jobs::new(2);
        let add = |jobs: &mut Jobs<Named>, node, name| {
            let key = jobs.next_key();
            assert_eq!(jobs.insert(Named(node, name)), key);
            key
        };
        let first = add(&mut jobs, 0, 1);
        let second = add(&mut jobs, 1, 1);
        assert_eq!((jobs.named(NodeId(1), JobId(1)), jobs.of(NodeId(0))), (Some(second), vec![first]));
        assert!(jobs.remove(first).is_some() && jobs.remove(first).is_none());
        let third = add(&mut jobs, 0, 2);
        assert_eq!(place(third), place(first));
        assert!(
            jobs.get(first).is_none()
                && jobs.get(third).is_some()
                && jobs.named(NodeId(0), JobId(1)).is_none()
        );
        let serial = jobs.serial();
        let saved = [second, third].map(|key| (key, jobs.remove(key).unwrap()));
        assert!(jobs.is_empty());
        let mut again = Jobs::restore(2, serial, saved);
        assert_eq!((again.of(NodeId(0)), again.iter_mut().count()), (vec![third], 2));
        assert!(![first, second, third].contains(&again.next_key()));
    }
}
