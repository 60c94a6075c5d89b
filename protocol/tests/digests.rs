//! The digest depends on the set of records alone, and leads to whatever differs.
#![allow(clippy::unwrap_used)] // a test that fails here has found something

mod common;

use std::collections::BTreeMap;

use common::{alice, bob};
use proptest::prelude::*;
use seedpod_protocol::{
    digest::{Trie, TrieNode, state_digest},
    ids::{ContentHash, RegisterKey},
};

/// Keys that often share their beginnings, so that branches grow deep and fall together.
fn key() -> impl Strategy<Value = RegisterKey> {
    (prop::collection::vec(0..3_u8, 3), any::<bool>()).prop_map(|(bytes, last)| {
        let mut key = [0; 32];
        key[..3].copy_from_slice(&bytes);
        key[31] = last.into();
        RegisterKey::from_bytes(key)
    })
}

fn head(n: u8) -> ContentHash {
    ContentHash::from_bytes([n; 32])
}

/// All leaves, found by walking down from the top as a remote pod would.
fn walk(trie: &Trie, prefix: &mut Vec<u8>, found: &mut BTreeMap<RegisterKey, ContentHash>) {
    match trie.node(prefix) {
        TrieNode::Empty => {}
        TrieNode::Leaf { key, head } => {
            found.insert(key, head);
        }
        TrieNode::Branch(children) => {
            let filled = children
                .iter()
                .filter(|child| **child != ContentHash::ZERO)
                .count();
            assert!(filled >= 1, "a branch without children");
            for (nibble, child) in (0_u8..).zip(children.iter()) {
                prefix.push(nibble);
                assert_eq!(*child == ContentHash::ZERO, trie.node(prefix) == TrieNode::Empty);
                assert_eq!(*child, trie.hash_at(prefix));
                walk(trie, prefix, found);
                prefix.pop();
            }
        }
    }
}

proptest! {
    #[test]
    fn a_trie_is_its_set(steps in prop::collection::vec((key(), prop::option::weighted(0.7, 1..5_u8)), 0..60)) {
        let mut trie = Trie::new();
        let mut model = BTreeMap::new();
        for (key, step) in steps {
            match step {
                Some(n) => prop_assert_eq!(trie.insert(key, head(n)), model.insert(key, head(n))),
                None => prop_assert_eq!(trie.remove(&key), model.remove(&key)),
            }
            prop_assert_eq!(trie.len(), model.len());
            prop_assert_eq!(trie.get(&key), model.get(&key).copied());
            // Built at once, in the opposite order, it is the same.
            let fresh: Trie = model.iter().rev().map(|(key, head)| (*key, *head)).collect();
            prop_assert_eq!(trie.root(), fresh.root());
            prop_assert_eq!(trie.node(&[]), fresh.node(&[]));
        }
        let mut found = BTreeMap::new();
        walk(&trie, &mut Vec::new(), &mut found);
        prop_assert_eq!(found, model);
    }

    #[test]
    fn another_set_has_another_root(
        a in prop::collection::btree_map(key(), 1..4_u8, 0..20),
        b in prop::collection::btree_map(key(), 1..4_u8, 0..20),
    ) {
        let root = |set: &BTreeMap<RegisterKey, u8>| set.iter().map(|(key, n)| (*key, head(*n))).collect::<Trie>().root();
        prop_assert_eq!(a == b, root(&a) == root(&b));
    }
}

#[test]
fn an_empty_trie_is_zeros_and_a_lone_leaf_stands_at_the_top() {
    let mut trie = Trie::new();
    assert_eq!(
        (trie.root(), trie.node(&[])),
        (ContentHash::ZERO, TrieNode::Empty)
    );
    let key = RegisterKey::from_bytes([0x12; 32]);
    trie.insert(key, head(1));
    let leaf = TrieNode::Leaf { key, head: head(1) };
    assert_eq!(trie.node(&[]), leaf);
    assert_eq!(trie.node(&[1, 2, 1]), leaf, "it is also found by more of its key");
    assert_eq!(trie.node(&[1, 3]), TrieNode::Empty);
    assert_eq!(trie.node(&[200]), TrieNode::Empty);
    assert_eq!(trie.node(&[1; 70]), TrieNode::Empty);
    assert_eq!(
        trie.node(&[1, 2].repeat(40)),
        TrieNode::Empty,
        "longer than any key"
    );
    trie.remove(&key);
    assert_eq!(trie.root(), ContentHash::ZERO);
}

#[test]
fn a_state_digest_takes_no_order_and_no_empty_authors() {
    let (a, b) = ((alice().id(), head(1)), (bob().id(), head(2)));
    assert_eq!(state_digest([a, b]), state_digest([b, a]));
    assert_ne!(state_digest([a, b]), state_digest([a]));
    assert_ne!(state_digest([a, b]), state_digest([(a.0, b.1), (b.0, a.1)]));
    assert_eq!(state_digest([a, (b.0, ContentHash::ZERO)]), state_digest([a]));
}
