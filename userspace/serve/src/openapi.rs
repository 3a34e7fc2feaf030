//! The description of the API, for programs.

/// By OpenAPI 3.1.
pub(crate) const DOCUMENT: &str = include_str!("openapi.json");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ROUTES, router};
    use crate::door::Door;
    use crate::entrance::{Entrance, EntrancePlan};
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use tapline_catalog::{Allowance, Catalog, CatalogOptions, InputSet, Level, Tell};
    use tapline_engine::EngineOptions;
    use tapline_lookup::Tables;
    use tapline_query::Identity;
    use tapline_sources::{Notice, SystemClock};
    use tapline_tables::Database;
    use tower::ServiceExt as _;

    const SQL: &str = "SELECT count(*) AS n FROM flows GROUP BY tumble('1 second')";
    const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

    struct Silent;

    impl Tell for Silent {
        fn say(&self, _: Level, _: &str) {}

        fn notice(&self, _: &Notice) {}
    }

    /// That of this machine.
    fn door() -> Door {
        let address = SocketAddr::from(([127, 0, 0, 1], 8790));
        let entrance = Entrance::open(address, &EntrancePlan::default(), Arc::new(Silent)).unwrap();
        Door { is_on_loopback: true, is_open: true, entrance: Arc::new(entrance) }
    }

    fn tables() -> Arc<Tables> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nets.csv");
        std::fs::write(&path, "prefix,name\n10.0.0.0/8,ours\n").unwrap();
        let tables = Tables::open(vec![format!("nets={}", path.display()).parse().unwrap()]).unwrap();
        drop(folder);
        // It is gone now, which is a reason to name.
        assert_eq!(tables.reload().len(), 1);
        Arc::new(tables)
    }

    fn catalog() -> Arc<Catalog> {
        let options = CatalogOptions {
            engine: EngineOptions { workers: 1, ..EngineOptions::default() },
            tables: tables(),
            identity: Identity { sensor: "here".to_owned(), site: None },
            clock: Arc::new(SystemClock),
            queries_max: 10,
            allowance: Allowance::default(),
            reread: None,
            folder: None,
            windows: None,
            outlets: vec![],
            alerts: vec![],
            fleet: None,
            log: Arc::new(Silent),
        };
        let catalog = Catalog::start(options, InputSet { inputs: vec![], table: None }).unwrap();
        catalog.open().unwrap();
        catalog
    }

    /// All requests, as this machine asks them.
    fn served(catalog: &Arc<Catalog>) -> Router {
        let database = Database::of_node(catalog, &tables(), None).unwrap();
        router(Arc::clone(catalog), Arc::new(database), door())
    }

    /// The status and the body of an answer.
    fn ask(catalog: &Arc<Catalog>, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
            let method = method.to_uppercase();
            let request = Request::builder().method(method.as_str()).uri(path).body(body).unwrap();
            let answer = served(catalog).oneshot(request).await.unwrap();
            let status = answer.status();
            // A stream has no end while its query runs.
            if path.contains("/stream") && status == StatusCode::OK {
                return (status.as_u16(), Value::Null);
            }
            let octets = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            (status.as_u16(), serde_json::from_slice(&octets).unwrap_or(Value::Null))
        })
    }

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    /// What of a value is not as its schema says.
    fn wrongs(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
        if let Some(name) = schema["$ref"].as_str() {
            let pointer = name.trim_start_matches('#');
            return wrongs(document, document.pointer(pointer).unwrap(), value, place);
        }
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.clone(),
            kind => vec![kind.clone()],
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !kinds.contains(&json!(kind)) {
            return vec![format!("{place} is {value}, not {kinds:?}")];
        }
        if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
            return vec![format!("{place} is {value}")];
        }
        let mut found = vec![];
        for (number, item) in value.as_array().into_iter().flatten().enumerate() {
            found.extend(wrongs(document, &schema["items"], item, &format!("{place}[{number}]")));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            if value.get(name.as_str().unwrap()).is_none() {
                found.push(format!("{place} has no {name}"));
            }
        }
        for (name, part) in value.as_object().into_iter().flatten() {
            match schema["properties"].get(name) {
                Some(property) => found.extend(wrongs(document, property, part, &format!("{place}.{name}"))),
                None if schema["additionalProperties"] == false => found.push(format!("{place} has {name}")),
                None => {}
            }
        }
        found
    }

    /// Whatever a path answers to a method is described; gives the status.
    fn check(catalog: &Arc<Catalog>, method: &str, path: &str, body: &Value) -> u16 {
        let document = document();
        let described = match path.strip_prefix("/api/v1/queries/") {
            Some(rest) => {
                format!("/api/v1/queries/{{name}}{}", rest.find('/').map_or("", |end| &rest[end..]))
            }
            None => path.to_owned(),
        };
        let described = described.split('?').next().unwrap();
        let (status, answer) = ask(catalog, method, path, body);
        let response = &document["paths"][described][method]["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {path}: {status} {answer}");
        for kind in ["application/json", "application/problem+json"] {
            let schema = &response["content"][kind]["schema"];
            if schema.is_object() {
                assert_eq!(wrongs(&document, schema, &answer, "it"), Vec::<String>::new(), "{method} {path}");
            }
        }
        status
    }

    #[test]
    fn every_path_and_method_is_described_and_no_other() {
        let document = document();
        let described: BTreeSet<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, ROUTES.iter().map(|(path, _)| *path).collect());
        let catalog = catalog();
        for path in described {
            for method in METHODS {
                let (status, _) = ask(&catalog, method, &path.replace("{name}", "nobody"), &Value::Null);
                let is_described = document["paths"][path][method].is_object();
                assert_eq!(status != 405, is_described, "{method} {path}: {status}");
            }
        }
        catalog.stop().unwrap();
    }

    #[test]
    fn every_answer_is_as_it_is_described() {
        let catalog = catalog();
        let query = |name: &str, sql: &str| json!({ "name": name, "sql": sql });
        let with_options = |options: Value| json!({ "name": "c", "sql": SQL, "options": options });
        let limits = json!({
            "groups_max": 10, "octets_max": 1_000_000, "rows_per_second_max": 5, "work_max_ns": 1_000_000,
            "beyond": "sample",
        });
        let cases = [
            ("post", "/api/v1/queries", query("a", SQL), 201),
            ("post", "/api/v1/queries", query("a", SQL), 409),
            ("post", "/api/v1/queries", query("b", "SELECT x FROM flows"), 400),
            ("post", "/api/v1/queries", with_options(json!({ "early": "1 day" })), 400),
            ("post", "/api/v1/queries", with_options(json!({ "groups_max": 0 })), 400),
            ("post", "/api/v1/queries", with_options(limits), 201),
            ("put", "/api/v1/queries/c", json!({ "sql": SQL, "options": { "history": "off" } }), 200),
            ("put", "/api/v1/queries/c", json!({ "sql": SQL, "options": { "history": "never" } }), 400),
            ("get", "/api/v1/queries/c", Value::Null, 200),
            ("get", "/api/v1/queries", Value::Null, 200),
            ("get", "/api/v1/queries/a", Value::Null, 200),
            ("get", "/api/v1/queries/b", Value::Null, 404),
            ("put", "/api/v1/queries/a", json!({ "sql": SQL, "options": { "note": "n" } }), 200),
            ("put", "/api/v1/queries/b", json!({ "sql": SQL }), 404),
            ("get", "/api/v1/queries/a/results", Value::Null, 200),
            ("get", "/api/v1/queries/a/results?windows=-1", Value::Null, 400),
            ("get", "/api/v1/queries/a/stream?windows=1", Value::Null, 200),
            ("get", "/api/v1/queries/b/stream", Value::Null, 404),
            ("post", "/api/v1/explain", json!({ "sql": SQL }), 200),
            ("post", "/api/v1/explain", json!({ "sql": SQL, "sq": 1 }), 400),
            ("post", "/api/v1/explain", json!([SQL]), 400),
            ("post", "/api/v1/explain", json!({ "sql": SQL, "options": [] }), 400),
            ("post", "/api/v1/explain", json!({ "sql": SQL, "options": { "early": null } }), 200),
            ("get", "/api/v1/queries/%FF", Value::Null, 404),
            ("get", "/api/v1/queries/a/results?windows=4294967296", Value::Null, 400),
            ("get", "/api/v1/schema", Value::Null, 200),
            ("get", "/api/v1/sources", Value::Null, 200),
            ("get", "/api/v1/ledger", Value::Null, 200),
            ("get", "/api/v1/active-flows", Value::Null, 200),
            ("get", "/api/v1/active-flows?limit=5&order=newest", Value::Null, 200),
            ("get", "/api/v1/active-flows?limit=10001", Value::Null, 400),
            ("get", "/api/v1/active-flows?order=big", Value::Null, 400),
            ("get", "/api/v1/lookups", Value::Null, 200),
            ("get", "/api/v1/alerts", Value::Null, 200),
            ("get", "/api/v1/sensors", Value::Null, 200),
            ("post", "/api/v1/sensors", json!({ "name": "pop-1" }), 400),
            ("post", "/api/v1/sensors/rest", json!({ "name": "pop-1" }), 400),
            ("get", "/api/v1/status", Value::Null, 200),
            ("get", "/api/v1/openapi.json", Value::Null, 200),
            ("post", "/api/v1/reload", Value::Null, 200),
            ("delete", "/api/v1/queries/a", Value::Null, 204),
            ("delete", "/api/v1/queries/a", Value::Null, 404),
            ("get", "/healthz", Value::Null, 200),
            ("get", "/readyz", Value::Null, 200),
        ];
        for (method, path, body, expected) in cases {
            assert_eq!(check(&catalog, method, path, &body), expected, "{method} {path}");
        }
        catalog.stop().unwrap();
        assert_eq!(check(&catalog, "post", "/api/v1/queries", &query("late", SQL)), 500);
    }

    #[test]
    fn plans_previews_and_edits_are_as_they_are_described() {
        let catalog = catalog();
        let cases = [
            ("post", "/api/v1/queries", json!({ "name": "a", "sql": SQL }), 201),
            ("post", "/api/v1/queries", json!({ "name": "c", "sql": SQL }), 201),
            ("get", "/api/v1/queries/c/plan", Value::Null, 200),
            ("get", "/api/v1/queries/b/plan", Value::Null, 404),
            ("post", "/api/v1/preview", json!({ "sql": SQL, "windows": 0 }), 200),
            ("post", "/api/v1/preview", json!({ "sql": SQL, "windows": -1 }), 400),
            ("post", "/api/v1/preview", json!({ "sql": "SELECT x FROM flows" }), 400),
            ("post", "/api/v1/sql", json!({ "sql": "SELECT name, used FROM queries" }), 200),
            ("post", "/api/v1/sql", json!({ "sql": "SELECT n FROM a", "rows_max": 1 }), 200),
            ("post", "/api/v1/sql", json!({ "sql": "SELECT * FROM ledger", "rows_max": 1 }), 200),
            ("post", "/api/v1/sql", json!({ "sql": "SELECT n FROM a", "rows_max": 0 }), 400),
            ("post", "/api/v1/sql", json!({ "sql": "SELECT m FROM a" }), 400),
            ("post", "/api/v1/sql", json!({ "sql": SQL }), 400),
            ("post", "/api/v1/sql", json!({ "sql": "SELECT 1 / 0 FROM queries" }), 422),
            ("post", "/api/v1/edit", json!({ "sql": SQL }), 200),
            ("post", "/api/v1/edit", json!({ "sql": SQL, "change": { "add_key": "src_ip" } }), 200),
            (
                "post",
                "/api/v1/edit",
                json!({ "sql": SQL, "change": { "add_key": "n" , "window": null } }),
                400,
            ),
            ("post", "/api/v1/edit", json!({ "sql": SQL, "change": { "window": null } }), 400),
            ("post", "/api/v1/edit", json!({ "sql": SQL, "change": { "source": ["a", "b"] } }), 200),
            (
                "post",
                "/api/v1/edit",
                json!({ "sql": SQL, "change": { "add_filter": { "column": "src_ip", "value": null } } }),
                200,
            ),
            ("post", "/api/v1/edit", json!({ "sql": SQL, "change": { "drop_filter": 0 } }), 400),
        ];
        for (method, path, body, expected) in cases {
            assert_eq!(check(&catalog, method, path, &body), expected, "{method} {path}");
        }
        catalog.stop().unwrap();
    }

    #[test]
    fn alerts_are_as_they_are_described() {
        let catalog = catalog();
        let cases = [
            ("post", "/api/v1/queries", json!({ "name": "c", "sql": SQL }), 201),
            ("post", "/api/v1/alerts", json!({ "query": "c", "condition": "n > 5", "by": "whole" }), 201),
            ("post", "/api/v1/alerts", json!({ "query": "c", "condition": "m > 5" }), 400),
            ("post", "/api/v1/alerts", json!({ "query": "c", "condition": "rows", "sinks": ["pager"] }), 400),
            ("post", "/api/v1/alerts", json!({ "query": "c", "condition": "rows", "resolve_after": 0 }), 400),
            ("post", "/api/v1/alerts", json!({ "query": "b", "condition": "rows" }), 404),
            ("get", "/api/v1/alerts", Value::Null, 200),
            ("get", "/api/v1/queries/c", Value::Null, 200),
            ("delete", "/api/v1/alerts?query=c&condition=n+%3E+5", Value::Null, 204),
            ("delete", "/api/v1/alerts?query=c&condition=n+%3E+5", Value::Null, 404),
            ("delete", "/api/v1/alerts?query=c", Value::Null, 400),
            (
                "put",
                "/api/v1/queries/c",
                json!({ "sql": SQL, "options": { "alerts": [{ "condition": "rows" }] } }),
                200,
            ),
            ("put", "/api/v1/queries/c", json!({ "sql": SQL, "options": { "alerts": [["rows"]] } }), 400),
            ("get", "/api/v1/queries/c", Value::Null, 200),
        ];
        for (method, path, body, expected) in cases {
            assert_eq!(check(&catalog, method, path, &body), expected, "{method} {path} {body}");
        }
        catalog.stop().unwrap();
    }

    #[test]
    fn metrics_are_as_they_are_described() {
        let catalog = catalog();
        let marked = |sql: &str| json!({ "name": "m", "sql": sql, "options": { "metrics": true } });
        let cases = [
            ("post", "/api/v1/queries", marked("SELECT octets FROM flows"), 400),
            ("post", "/api/v1/queries", marked(SQL), 201),
            ("get", "/api/v1/queries/m", Value::Null, 200),
            ("get", "/metrics", Value::Null, 200),
        ];
        for (method, path, body, expected) in cases {
            assert_eq!(check(&catalog, method, path, &body), expected, "{method} {path}");
        }
        let (_, query) = ask(&catalog, "get", "/api/v1/queries/m", &Value::Null);
        assert_eq!(query["options"]["metrics"], true);
        catalog.stop().unwrap();
    }

    #[test]
    fn what_is_wrong_with_a_statement_is_told_with_its_place() {
        let catalog = catalog();
        let asked = |sql: &str| ask(&catalog, "post", "/api/v1/sql", &json!({ "sql": sql })).1;
        let wrong = asked("SELECT name\nFROM querys");
        assert!(wrong["detail"].as_str().unwrap().starts_with("there is no table 'querys'"), "{wrong}");
        assert_eq!(wrong["place"], json!({ "line": 2, "column": 6 }));
        assert!(asked(SQL)["detail"].as_str().unwrap().contains("POST /api/v1/preview"));
        let rows = asked("SELECT 1 AS n, 'x' AS n2");
        assert_eq!(rows["rows"], json!([{ "n": 1, "n2": "x" }]));
        assert_eq!(rows["schema"][0], json!({ "name": "n", "type": "Int64" }));
        assert!(rows.get("left_out").is_none(), "{rows}");
        catalog.stop().unwrap();
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let catalog = catalog();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let origins = [
            (None, 200),
            (Some("http://localhost:8790"), 200),
            (Some("http://evil.example"), 403),
            (Some("null"), 403),
        ];
        for (origin, expected) in origins {
            let request = Request::builder().uri("/healthz").header("host", "localhost:8790");
            let request =
                origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
            let answer = served(&catalog).oneshot(request.body(Body::empty()).unwrap());
            assert_eq!(runtime.block_on(answer).unwrap().status().as_u16(), expected, "{origin:?}");
        }
        catalog.stop().unwrap();
    }

    #[test]
    fn a_body_that_is_too_long_is_refused() {
        let catalog = catalog();
        let body = json!({ "sql": "x".repeat(3 << 20) });
        assert_eq!(check(&catalog, "post", "/api/v1/explain", &body), 413);
        catalog.stop().unwrap();
    }
}
