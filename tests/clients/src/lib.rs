//! Client libraries of etcd's v2 API against a store; see `tests/`.
