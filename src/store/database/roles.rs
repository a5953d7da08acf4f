//! A role for the server that can read and write rows and nothing else: it changes no table and no entry of the audit log.

use sqlx::AssertSqlSafe;

use super::Database;
use crate::store::StoreError;

/// Has no login: a login is made a member of it.
pub const SERVER_ROLE: &str = "otpost_server";

/// Idempotent. The audit log is only appended; the list of migrations is only read.
const SET_UP: &str = r"
do $$ begin
    if not exists (select from pg_roles where rolname = 'ROLE') then
        create role ROLE nologin;
    end if;
exception when duplicate_object or unique_violation then
    null;
end $$;
grant usage on schema SCHEMA to ROLE;
revoke create on schema SCHEMA from ROLE;
revoke create on schema SCHEMA from public;
grant select, insert, update, delete on all tables in schema SCHEMA to ROLE;
revoke update, delete, truncate on SCHEMA.audit_log from ROLE;
revoke insert, update, delete, truncate on SCHEMA._sqlx_migrations from ROLE;
alter default privileges in schema SCHEMA grant select, insert, update, delete on tables to ROLE;
";

/// Makes the role, or brings its privileges up to date. To be called by the owner of the tables, who may create roles.
///
/// # Errors
/// When the database is unavailable, or refuses for want of a privilege.
pub async fn set_up(pool: &Database) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    let schema: String = sqlx::query_scalar("select quote_ident(current_schema())").fetch_one(&mut connection).await?;
    let sql = SET_UP.replace("ROLE", SERVER_ROLE).replace("SCHEMA", &schema);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
    Ok(())
}

/// What this login can do that the server does not need, in words.
///
/// # Errors
/// When the database is unavailable.
pub async fn surplus(pool: &Database) -> Result<Vec<&'static str>, StoreError> {
    let (superuser, roles, tables, audit): (bool, bool, bool, bool) = sqlx::query_as(
        "select r.rolsuper, r.rolcreaterole, has_schema_privilege(current_schema(), 'create'),
                coalesce(has_table_privilege(to_regclass('audit_log'), 'update'), false)
           from pg_roles r where r.rolname = current_user",
    )
    .persistent(false)
    .fetch_one(pool)
    .await?;
    let found = [
        (superuser, "is a superuser"),
        (roles, "can make roles"),
        (tables, "can change tables"),
        (audit, "can change the audit log"),
    ];
    Ok(found.into_iter().filter_map(|(has, what)| has.then_some(what)).collect())
}
