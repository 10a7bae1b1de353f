//! The cluster that server_up.sh starts when there is no Docker, through its own scripts.

use crate::support::*;

#[test]
fn what_one_client_writes_another_reads() {
    let cluster = Cluster::shared();
    cluster.create_topic("hello", 2, &[]);
    kcat(&cluster, &["-P", "-t", "hello", "-p", "1"], b"a\nb\nc\n");
    assert_eq!(kcat(&cluster, &["-C", "-t", "hello", "-e", "-q"], b""), "a\nb\nc\n");
    assert_eq!(cluster.latest("hello"), [0, 3]);
    cluster.delete_records("hello", 1, 2);
    assert_eq!(cluster.earliest("hello"), [0, 2]);
    cluster.delete_topic("hello");
}
