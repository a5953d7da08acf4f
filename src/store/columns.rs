//! Statements over many rows whose columns are listed once.

/// A checked query (`query` or `query_scalar` of sqlx) with one array parameter per column.
///
/// Each column stands on one line: its name, its SQL type, and its value for a row. From this list come the parameters in the
/// SQL text, the names beside them, the columns of the `insert`, and the bound arrays. So no order must be kept in step by hand.
///
/// ```text
/// columns!(query, [now], for r in rows {
///     "account": "text" ~ r.account.as_str(),
///     "sent_at": "timestamptz" = r.sent_at,
/// }, "insert into t (" {names} ", noted_at) select {names}, $1 from " {rows "n"})
/// ```
///
/// - `[now]`: the other parameters. They come first: `$1`, `$2`, and so on.
/// - `=`: sqlx checks at compile time that the value's type fits the SQL type. `~`: it does not (`as _`), as for borrowed texts
///   and optional values, which sqlx's check refuses.
/// - `- "name": ...`: a column that `{rows}` has and `{names}` leaves out.
/// - `{rows "n"}`: `unnest(...) as n (...)`. `{names}`: the names with commas between them. A second and a third list of columns
///   may follow the first; `{rows 2 "n"}` and `{names 2}` are the second's.
macro_rules! columns {
    ($query:ident, [$($scalar:expr),*], $(for $row:pat in $rows:ident { $($columns:tt)* },)+ $first:literal $($sql:tt)*) => {
        columns!(@skip $query [$($scalar,)*]
            ["$1" "$2" "$3" "$4" "$5" "$6" "$7" "$8" "$9" "$10" "$11" "$12" "$13" "$14" "$15" "$16" "$17" "$18" "$19" "$20"
             "$21" "$22" "$23" "$24" "$25" "$26" "$27" "$28" "$29" "$30" "$31" "$32" "$33" "$34" "$35" "$36" "$37" "$38" "$39"
             "$40" "$41" "$42" "$43" "$44" "$45" "$46" "$47" "$48" "$49" "$50" "$51" "$52" "$53" "$54" "$55" "$56" "$57"
             "$58" "$59" "$60" "$61" "$62" "$63" "$64"]
            [$($scalar,)*] [$([(for $row in $rows) {$($columns)*}])+] [$first $($sql)*])
    };

    // Parameters that are not columns take the first numbers.
    (@skip $query:ident $scalars:tt [$number:literal $($numbers:literal)*] [$one:expr, $($more:expr,)*] $lists:tt $sql:tt) => {
        columns!(@skip $query $scalars [$($numbers)*] [$($more,)*] $lists $sql)
    };
    (@skip $query:ident $scalars:tt $numbers:tt [] [[$for:tt $columns:tt] $($lists:tt)*] $sql:tt) => {
        columns!(@list $query $scalars $numbers [] [] $for [] [] [] $columns [$($lists)*] $sql)
    };

    // One column: its number, its name, its value.
    (@list $query:ident $scalars:tt [$number:literal $($numbers:literal)*] [$($values:tt)*] $done:tt
        (for $row:pat in $rows:ident) [$($names:tt)*] [$($all:tt)*] [$($arrays:tt)*]
        { - $name:literal : $type:literal = $value:expr, $($more:tt)* } $lists:tt $sql:tt) => {
        columns!(@list $query $scalars [$($numbers)*] [$($values)* [&$rows.iter().map(|#[allow(unused_variables)] $row| $value).collect::<Vec<_>>()]] $done
            (for $row in $rows) [$($names)*] [$($all)* $name] [$($arrays)* ($number $type)] {$($more)*} $lists $sql)
    };
    (@list $query:ident $scalars:tt [$number:literal $($numbers:literal)*] [$($values:tt)*] $done:tt
        (for $row:pat in $rows:ident) [$($names:tt)*] [$($all:tt)*] [$($arrays:tt)*]
        { - $name:literal : $type:literal ~ $value:expr, $($more:tt)* } $lists:tt $sql:tt) => {
        columns!(@list $query $scalars [$($numbers)*] [$($values)* [&$rows.iter().map(|#[allow(unused_variables)] $row| $value).collect::<Vec<_>>() as _]] $done
            (for $row in $rows) [$($names)*] [$($all)* $name] [$($arrays)* ($number $type)] {$($more)*} $lists $sql)
    };
    (@list $query:ident $scalars:tt [$number:literal $($numbers:literal)*] [$($values:tt)*] $done:tt
        (for $row:pat in $rows:ident) [$($names:tt)*] [$($all:tt)*] [$($arrays:tt)*]
        { $name:literal : $type:literal = $value:expr, $($more:tt)* } $lists:tt $sql:tt) => {
        columns!(@list $query $scalars [$($numbers)*] [$($values)* [&$rows.iter().map(|#[allow(unused_variables)] $row| $value).collect::<Vec<_>>()]] $done
            (for $row in $rows) [$($names)* $name] [$($all)* $name] [$($arrays)* ($number $type)] {$($more)*} $lists $sql)
    };
    (@list $query:ident $scalars:tt [$number:literal $($numbers:literal)*] [$($values:tt)*] $done:tt
        (for $row:pat in $rows:ident) [$($names:tt)*] [$($all:tt)*] [$($arrays:tt)*]
        { $name:literal : $type:literal ~ $value:expr, $($more:tt)* } $lists:tt $sql:tt) => {
        columns!(@list $query $scalars [$($numbers)*]
            [$($values)* [&$rows.iter().map(|#[allow(unused_variables)] $row| $value).collect::<Vec<_>>() as _]] $done
            (for $row in $rows) [$($names)* $name] [$($all)* $name] [$($arrays)* ($number $type)] {$($more)*} $lists $sql)
    };
    // The end of a list: the next one, or the text.
    (@list $query:ident $scalars:tt $numbers:tt $values:tt [$($done:tt)*] $for:tt $names:tt $all:tt $arrays:tt
        {} [[$next:tt $columns:tt] $($lists:tt)*] $sql:tt) => {
        columns!(@list $query $scalars $numbers $values [$($done)* {$names $all $arrays}] $next [] [] [] $columns [$($lists)*] $sql)
    };
    (@list $query:ident $scalars:tt $numbers:tt $values:tt [$($done:tt)*] $for:tt $names:tt $all:tt $arrays:tt
        {} [] [$first:literal $($sql:tt)*]) => {
        columns!(@text $query $scalars $values [$($done)* {$names $all $arrays}] [$first] $($sql)*)
    };

    // The text, piece by piece.
    (@text $query:ident $scalars:tt $values:tt $lists:tt [$($text:tt)*] $piece:literal $($sql:tt)*) => {
        columns!(@text $query $scalars $values $lists [$($text)* + $piece] $($sql)*)
    };
    (@text $query:ident $scalars:tt $values:tt [{[$name:literal $($names:literal)*] $all:tt $arrays:tt} $($list:tt)*]
        [$($text:tt)*] {names} $($sql:tt)*) => {
        columns!(@text $query $scalars $values [{[$name $($names)*] $all $arrays} $($list)*]
            [$($text)* + $name $(+ ", " + $names)*] $($sql)*)
    };
    (@text $query:ident $scalars:tt $values:tt [$first:tt {[$name:literal $($names:literal)*] $all:tt $arrays:tt} $($list:tt)*]
        [$($text:tt)*] {names 2} $($sql:tt)*) => {
        columns!(@text $query $scalars $values [$first {[$name $($names)*] $all $arrays} $($list)*]
            [$($text)* + $name $(+ ", " + $names)*] $($sql)*)
    };
    (@text $query:ident $scalars:tt $values:tt [$first:tt $second:tt {[$name:literal $($names:literal)*] $all:tt $arrays:tt}]
        [$($text:tt)*] {names 3} $($sql:tt)*) => {
        columns!(@text $query $scalars $values [$first $second {[$name $($names)*] $all $arrays}]
            [$($text)* + $name $(+ ", " + $names)*] $($sql)*)
    };
    (@text $query:ident $scalars:tt $values:tt
        [{$names:tt [$name:literal $($all:literal)*] [($number:literal $type:literal) $(($numbers:literal $types:literal))*]}
         $($list:tt)*]
        [$($text:tt)*] {rows $as:literal} $($sql:tt)*) => {
        columns!(@text $query $scalars $values
            [{$names [$name $($all)*] [($number $type) $(($numbers $types))*]} $($list)*]
            [$($text)* + "unnest(" + $number + "::" + $type + "[]" $(+ ", " + $numbers + "::" + $types + "[]")* + ") as "
             + $as + " (" + $name $(+ ", " + $all)* + ")"] $($sql)*)
    };
    (@text $query:ident $scalars:tt $values:tt
        [$first:tt
         {$names:tt [$name:literal $($all:literal)*] [($number:literal $type:literal) $(($numbers:literal $types:literal))*]}
         $($list:tt)*]
        [$($text:tt)*] {rows 2 $as:literal} $($sql:tt)*) => {
        columns!(@text $query $scalars $values
            [$first {$names [$name $($all)*] [($number $type) $(($numbers $types))*]} $($list)*]
            [$($text)* + "unnest(" + $number + "::" + $type + "[]" $(+ ", " + $numbers + "::" + $types + "[]")* + ") as "
             + $as + " (" + $name $(+ ", " + $all)* + ")"] $($sql)*)
    };
    (@text $query:ident $scalars:tt $values:tt
        [$first:tt $second:tt
         {$names:tt [$name:literal $($all:literal)*] [($number:literal $type:literal) $(($numbers:literal $types:literal))*]}]
        [$($text:tt)*] {rows 3 $as:literal} $($sql:tt)*) => {
        columns!(@text $query $scalars $values
            [$first $second {$names [$name $($all)*] [($number $type) $(($numbers $types))*]}]
            [$($text)* + "unnest(" + $number + "::" + $type + "[]" $(+ ", " + $numbers + "::" + $types + "[]")* + ") as "
             + $as + " (" + $name $(+ ", " + $all)* + ")"] $($sql)*)
    };
    (@text $query:ident [$($scalar:expr,)*] [$([$($value:tt)*])*] $lists:tt [$($text:tt)*]) => {
        sqlx::$query!($($text)*, $($scalar,)* $($($value)*),*)
    };
}
pub(crate) use columns;
