use super::*;

fn ini(text: &str) -> Inventory {
    Inventory::parse("hosts.ini", text, Format::Ini).unwrap()
}

fn names(hosts: &[Host]) -> String {
    hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(" ")
}

/// A host as one line.
fn line(host: &Host) -> String {
    let user = host.user.as_ref().map_or(String::new(), |user| format!("{user}@"));
    let port = host.port.map_or(String::new(), |port| format!(":{port}"));
    let key = host.key.as_ref().map_or(String::new(), |key| format!(" key={}", key.display()));
    let args = host.ssh_args.iter().map(|word| format!(" [{word}]")).collect::<String>();
    let local = if host.local { " local" } else { "" };
    let reached = host.reached_at.as_ref().map_or(String::new(), |at| format!(" reached at {at}"));
    format!("{}: {user}{}{port}{key}{args}{local}{reached}", host.name, host.destination())
}

fn lines(inventory: &Inventory) -> Vec<String> {
    inventory.pool(None, None).unwrap().iter().map(line).collect()
}

const LAB: &str = r#"
# the lab
head ansible_host=10.0.0.1   ; not a comment for Ansible, but a word without `=`
"#;

#[test]
fn the_older_readme_has_its_pool_in_order() {
    let aliases = "[pool]\npi1\npi2\npi3\npi4\npi5\npi6\npi7\n";
    assert_eq!(names(&ini(aliases).pool(None, None).unwrap()), "pi1 pi2 pi3 pi4 pi5 pi6 pi7");
    let addresses = "[pool]\n192.168.2.101\n192.168.2.102\n";
    assert_eq!(lines(&ini(addresses)), ["192.168.2.101: 192.168.2.101", "192.168.2.102: 192.168.2.102"]);
}

#[test]
fn ini_as_users_have_it() {
    let text = r#"
; fleet of the lab
gateway ansible_connection=local

[servers]          # aggregate
head ansible_host=10.0.0.1 ansible_user='lab user' ansible_ssh_common_args='-o ProxyJump=bastion -o "Foo=a b"'

[pi]
pi[01:03] ansible_user=pi
pi02 ansible_port=2222 hcddl_address=10.9.0.2   # moved
[2001:db8::7]:2022
10.0.0.9:2200

[pool:children]
servers
pi   # all of them

[pi:vars]
ansible_user = fallback
ansible_ssh_private_key_file="/keys/pi" # quoted, so this is a comment
some_template={{ not_used }}

[all:vars]
ansible_user=root
ansible_ssh_extra_args=-C
"#;
    let inventory = ini(text);
    assert_eq!(
        lines(&inventory),
        [
            "head: lab user@10.0.0.1 [-o] [ProxyJump=bastion] [-o] [Foo=a b] [-C]",
            "pi01: pi@pi01 key=/keys/pi [-C]",
            "pi02: pi@pi02:2222 key=/keys/pi [-C] reached at 10.9.0.2",
            "pi03: pi@pi03 key=/keys/pi [-C]",
            "2001:db8::7: fallback@2001:db8::7:2022 key=/keys/pi [-C]",
            "10.0.0.9: fallback@10.0.0.9:2200 key=/keys/pi [-C]",
        ]
    );
    let everybody = inventory.pool(Some("all"), None).unwrap();
    assert_eq!(names(&everybody), "gateway head pi01 pi02 pi03 2001:db8::7 10.0.0.9");
    assert!(everybody[0].local && !everybody[1].local);
}

#[test]
fn yaml_as_users_have_it() {
    let text = r#"
---
all:
  vars: {ansible_user: root, ansible_port: 22}
  hosts:
    lone:
  children:
    pool:
      vars: {ansible_user: pi}
      children:
        west:
          hosts:
            w[1:2]: {ansible_port: 2222}
        east:
          hosts:
            192.168.2.101:
              ansible_host: 10.0.0.1
              ansible_ssh_common_args: "-J bastion"
              nested: {list: [1, 2]}
      hosts:
        head:
"#;
    let inventory = Inventory::parse("hosts.yml", text, Format::Yaml).unwrap();
    assert_eq!(
        lines(&inventory),
        [
            "head: pi@head:22",
            "w1: pi@w1:2222",
            "w2: pi@w2:2222",
            "192.168.2.101: pi@10.0.0.1:22 [-J] [bastion]",
        ]
    );
    assert_eq!(names(&inventory.pool(Some("all"), None).unwrap()), "lone head w1 w2 192.168.2.101");
}

#[test]
fn json_of_ansible_inventory() {
    let text = r#"{
        "_meta": {"hostvars": {"b": {"ansible_host": "10.0.0.2", "ansible_port": 2222}, "c": {}}},
        "all": {"children": ["ungrouped", "pool"]},
        "pool": {"hosts": ["b", "a"], "vars": {"ansible_user": "pi"}},
        "old": ["c"]
    }"#;
    let inventory = Inventory::parse("hosts.json", text, Format::Json).unwrap();
    assert_eq!(lines(&inventory), ["b: pi@10.0.0.2:2222", "a: pi@a"]);
    assert_eq!(names(&inventory.pool(Some("all"), None).unwrap()), "b a c");
}

#[test]
fn a_deeper_group_outranks_a_shallower_one_and_the_later_name_its_equal() {
    let text = "[b]\nx\n[a]\nx\n[deep]\nx\n[a:vars]\nansible_user=a\nansible_port=1\n[b:vars]\nansible_user=b\n\
                [a:children]\ndeep\n[deep:vars]\nansible_port=9\n[all:vars]\nansible_port=5\n";
    assert_eq!(lines(&ini(text)), ["x: b@x:9"]);
}

#[test]
fn variables_beside_the_inventory_count() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("hosts", "[pool]\na\nb ansible_user=own\n[pool:vars]\nansible_user=weakest\n");
    write("group_vars/all.yml", "ansible_user: everybody\nansible_port: 22\n");
    write("group_vars/pool/main.yml", "ansible_port: 2222\nother: '{{ x }}'\n");
    write("group_vars/pool/vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n6633\n");
    write("host_vars/b.yml", "ansible_user: last\n");
    let inventory = Inventory::load(&folder.path().join("hosts"), None).unwrap();
    assert_eq!(lines(&inventory), ["a: everybody@a:2222", "b: last@b:2222"]);
    assert!(inventory.warnings[0].contains("vault.yml") && inventory.warnings.len() == 1);
}

#[test]
fn limits_leave_some() {
    let inventory = ini("[pool]\npi[1:4]\n[west]\npi1\npi4\n");
    let limited = |limit| inventory.pool(None, Some(limit)).map(|hosts| names(&hosts));
    assert_eq!(limited("pi2,pi1").unwrap(), "pi1 pi2");
    assert_eq!(limited("west").unwrap(), "pi1 pi4");
    assert_eq!(limited("!west").unwrap(), "pi2 pi3");
    assert_eq!(limited("pi*:!pi3").unwrap(), "pi1 pi2 pi4");
    assert!(limited("pi9").unwrap_err().to_string().contains("there is no host or group `pi9`"));
    let error = inventory.pool(Some("wst"), None).unwrap_err().to_string();
    assert!(error.contains("did you mean `west`?"), "{error}");
}

#[test]
fn what_needs_ansible_is_refused_with_the_way_out() {
    let cases: &[(&str, Format, &[&str])] = &[
        (
            "[pool]\npi1 ansible_host={{ip}}\n",
            Format::Ini,
            &["x:2: ansible_host: `{{ip}}` is a Jinja template"],
        ),
        ("[pool]\n{{ name }}\n", Format::Ini, &["x:2: `{{` is a Jinja template"]),
        (
            "pool:\n  hosts:\n    a:\n      ansible_user: \"{{ u }}\"\n",
            Format::Yaml,
            &["x:4: ansible_user: `{{ u }}` is a Jinja template"],
        ),
        (
            "pool:\n  vars:\n    secret: !vault |\n      66\n",
            Format::Yaml,
            &["x:3: pool.vars.secret: this value is encrypted", "--ask-vault-pass"],
        ),
        (
            "$ANSIBLE_VAULT;1.1;AES256\n66\n",
            Format::Ini,
            &["x:1: this is encrypted", "ansible-inventory -i x"],
        ),
        ("#!/usr/bin/env python3\nprint()\n", Format::Ini, &["x:1: this is a script", "--inventory-json"]),
        ("plugin: aws_ec2\nregions: [a]\n", Format::Yaml, &["x:1: plugin:", "plugin `aws_ec2`", "--list"]),
        ("pool: &a\n  hosts: {b: }\n", Format::Yaml, &["x:1", "anchors", "--inventory-json"]),
    ];
    for (text, format, parts) in cases {
        let error = Inventory::parse("x", text, *format).unwrap_err().to_string();
        for part in *parts {
            assert!(error.contains(part), "{text:?} lacks {part:?}: {error}");
        }
    }
}

#[test]
fn slips_name_their_line() {
    let cases: &[(&str, Format, &str)] = &[
        (LAB, Format::Ini, "x:3: `;` has no `=`"),
        ("[pool]\npi1 pi2\n", Format::Ini, "x:2: `pi2` has no `=`"),
        ("[pool]\npi[3:1]\n", Format::Ini, "x:2: the range `[3:1]` runs backwards"),
        ("[pool]\na ansible_user='x\n", Format::Ini, "x:2: a quote ' is not closed"),
        ("[pool:childs]\na\n", Format::Ini, "x:1: `[pool:childs]`: unknown kind of section"),
        ("[pool:children]\nwest\n", Format::Ini, "x:2: the group `west` is named, but has no section"),
        ("[wst:vars]\na=1\n", Format::Ini, "x:1: the group `wst` is named"),
        ("[a:children]\nb\n[b:children]\na\n", Format::Ini, "contains itself"),
        ("[pool]\na ansible_port=ssh\n", Format::Ini, "x:2: ansible_port: expected a port, found `ssh`"),
        ("[pool]\na ansible_connection=winrm\n", Format::Ini, "x:2: ansible_connection: devices cannot"),
        ("pool:\n  hosts:\n    - a\n", Format::Yaml, "x:2: pool.hosts: expected a map"),
        ("pool:\n  host: {a: }\n", Format::Yaml, "x:2: pool.host: unknown key `host`"),
        ("{\"pool\": 1", Format::Json, "x:1: this is not JSON"),
        ("{\"pool\": {\"hosts\": \"a\"}}", Format::Json, "pool.hosts: expected a list"),
    ];
    for (text, format, part) in cases {
        let error = Inventory::parse("x", text, *format).unwrap_err().to_string();
        assert!(error.contains(part), "{text:?} lacks {part:?}: {error}");
    }
    let empty = ini("# nothing\n").pool(None, None).unwrap_err().to_string();
    assert!(empty.contains("`all` has no hosts"), "{empty}");
}

#[test]
fn names_alone_are_an_inventory_too() {
    let inventory = Inventory::load(Path::new("pi1,pi2:2222,"), None).unwrap();
    assert_eq!(lines(&inventory), ["pi1: pi1", "pi2: pi2:2222"]);
    assert!(
        Inventory::load(Path::new("nowhere.ini"), None).unwrap_err().to_string().contains("cannot be read")
    );
}

/// A few lines that mean very much are refused by what they mean, before it is written out.
#[test]
fn what_means_too_much_is_refused() {
    let assignments = (0..100).map(|i| format!(" v{i}=1")).collect::<String>();
    let many_variables = format!("pi[0:99998]{assignments}\n");
    let many_ranges = "pi[0:99998]\n".repeat(30);
    // A chain of groups, each of which holds all hosts of those below it.
    let chain: String =
        (0..5000).map(|i| format!("[g{i}]\nh{i}\n[g{i}:children]\ng{}\n", i + 1)).collect::<String>()
            + "[g5000]\n";
    for (text, says) in [
        (many_variables.as_str(), "more than 2000000 hosts and variables"),
        (&many_ranges, "more than 2000000 hosts and variables"),
        (&chain, "contain each other too often"),
    ] {
        let error = Inventory::parse("x", text, Format::Ini).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let yaml = format!(
        "pool: {{hosts: {{'pi[0:99998]': {{{}}}}}}}",
        assignments.trim().replace('=', ": ").replace(' ', ", ").replace(":,", ":")
    );
    let error = Inventory::parse("x", &yaml, Format::Yaml).unwrap_err().to_string();
    assert!(error.contains("more than 2000000"), "{error}");
}

#[test]
fn a_group_in_itself_is_named_even_below_others() {
    for text in ["[a:children]\nb\n[b:children]\nc\n[c:children]\nb\n", "[b:children]\nb\n[a:children]\nb\n"]
    {
        let error = Inventory::parse("x", text, Format::Ini).unwrap_err().to_string();
        assert!(
            error.contains("the group `b` contains itself") || error.contains("`c` contains itself"),
            "{error}"
        );
    }
}

#[test]
fn names_of_groups_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("inner/group_vars")).unwrap();
    std::fs::write(folder.path().join("secret.yml"), "ansible_user: root\n").unwrap();
    let path = folder.path().join("inner/hosts");
    std::fs::write(&path, "[../../secret]\npi1\n").unwrap();
    assert_eq!(Inventory::load(&path, None).unwrap().hosts[0].user, None);
}

#[test]
fn stars_stand_for_any_text() {
    for (pattern, name, is) in [
        ("*", "", true),
        ("a*", "abc", true),
        ("*c", "abc", true),
        ("a*c", "ac", true),
        ("a*a", "a", false),
        ("*b*b*", "abcb", true),
        ("*b*b*", "abc", false),
        ("a*b*c", "axxbyyc", true),
        ("a**c", "abc", true),
        ("*ab*ab", "abab", true),
        ("*ab*ab", "ab", false),
        ("*\u{e9}*", "x\u{e9}y", true),
    ] {
        assert_eq!(super::wildcard(pattern, name), is, "{pattern} {name}");
    }
    // Trying every way would take longer than anybody lives.
    assert!(!super::wildcard(&"*a".repeat(2000), &"a".repeat(1999)));
}
