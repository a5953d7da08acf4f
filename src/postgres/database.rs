//! Creates a database. This is the only SQL outside the store: it runs before the store has a database.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>: `duplicate_database`, and `unique_violation` when two
/// sessions create it at the same moment.
const EXISTS_ALREADY: [&str; 2] = ["42P04", "23505"];

/// Creates the database `name` unless it exists. `admin_url` names another database of the same server, with a role
/// that may create databases. Concurrent and repeated calls are safe.
///
/// # Errors
/// The connection failed, or the role may not create databases.
pub async fn ensure_database(admin_url: &str, name: &str) -> Result<(), sqlx::Error> {
    let mut admin = PgConnection::connect(admin_url).await?;
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(&mut admin)
        .await?;
    if !exists {
        let create = format!("create database {}", quoted(name));
        match sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await {
            Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| EXISTS_ALREADY.contains(&&*code)) => {}
            other => {
                other?;
            }
        }
    }
    admin.close().await
}

/// Creates `role`, whose only right is to own the database `name`, and makes it the owner of everything there.
/// `admin_url` and `database_url` belong to a superuser. May be repeated.
///
/// # Errors
/// The connection failed, or the role is not a superuser.
pub async fn hand_over(admin_url: &str, database_url: &str, name: &str, role: &str) -> Result<(), sqlx::Error> {
    let (role, name) = (quoted(role), quoted(name));
    let mut admin = PgConnection::connect(admin_url).await?;
    let make = format!("create role {role}");
    match sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut admin).await {
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| ROLE_EXISTS.contains(&&*code)) => {}
        other => {
            other?;
        }
    }
    let confine = format!(
        "alter role {role} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
         revoke all on database postgres, template1, {name} from public;
         alter database {name} owner to {role}"
    );
    sqlx::raw_sql(AssertSqlSafe(confine)).execute(&mut admin).await?;
    admin.close().await?;

    // `reassign owned` refuses the superuser that initdb created, so each object is changed by itself.
    let mut database = PgConnection::connect(database_url).await?;
    let alter: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(OWNED.replace("ROLE", &role))).fetch_all(&mut database).await?;
    if !alter.is_empty() {
        sqlx::raw_sql(AssertSqlSafe(alter.join(";\n"))).execute(&mut database).await?;
    }
    database.close().await
}

/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>: `duplicate_object`, `unique_violation`.
const ROLE_EXISTS: [&str; 2] = ["42710", "23505"];

/// One statement for each object of the connected role outside the system schemas. Objects that belong to another one
/// (a row type, the index of a key, the sequence of a column) follow it.
const OWNED: &str = "
    with ours as (select oid from pg_namespace
                   where nspname <> 'information_schema' and nspname not like 'pg\\_%'),
         me as (select oid from pg_roles where rolname = current_user)
    select format('alter %s %s owner to ROLE',
                  case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
                               else 'table' end,
                  c.oid::regclass)
      from pg_class c
     where relkind in ('r', 'p', 'v', 'm', 'f', 'S') and relowner = (table me) and relnamespace in (table ours)
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                                                 and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass)
    union all
    select format('alter type %s owner to ROLE', t.oid::regtype)
      from pg_type t
     where typtype in ('e', 'd', 'r') and typowner = (table me) and typnamespace in (table ours)
    union all
    select format('alter routine %s owner to ROLE', p.oid::regprocedure)
      from pg_proc p
     where proowner = (table me) and pronamespace in (table ours)
    union all
    select format('alter schema %I owner to ROLE', nspname)
      from pg_namespace
     where nspowner = (table me) and oid in (table ours)";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
