//! What ACLs forbid: told at once, with the topic or the group, and the user.

use super::{Secured, allow, logged_in_as, set_password, three_rows};
use crate::support::*;

#[test]
fn what_a_user_may_not_do_is_told_with_its_name() {
    let (cluster, _calm) = Secured::shared().calm();
    set_password(cluster, "limited", "limited-password");
    let workspace = logged_in_as(cluster, "limited", "limited-password", "a missing right is told").of("t");
    three_rows(&workspace);
    let topic = workspace.topic();
    cluster.create_topic(topic, 1, &[]);
    let group = format!("{topic}-sink.db");
    let at_topic = |run: Run| {
        run.code(1)
            .says(topic)
            .says("TopicAuthorizationFailed (code 29) to the user 'limited'")
            .says("way out: let this client do it (kafka-acls.sh)");
    };
    at_topic(workspace.producer(&[]));
    at_topic(workspace.consumer(&["--until-caught-up"]));

    allow(cluster, "limited", &["--topic", topic, "--operation", "Describe"]);
    at_topic(workspace.producer(&[]));
    workspace
        .consumer(&["--until-caught-up"])
        .code(1)
        .says(&format!("group {group}"))
        .says("GroupAuthorizationFailed (code 30) to the user 'limited'")
        .says("let this client use the group (kafka-acls.sh)");

    allow(cluster, "limited", &["--topic", topic, "--operation", "Write"]);
    workspace.producer(&[]).ok();
    at_topic(workspace.consumer(&["--partitions", "0", "--until-caught-up"]));

    allow(cluster, "limited", &["--topic", topic, "--operation", "Read"]);
    allow(cluster, "limited", &["--group", &group, "--operation", "Read"]);
    ship_and_land(&workspace);
}
