/** Whether the parts of a query can be answered rightly; each refusal says why not. */
import { CardumeError } from '../base/errors.ts';
import { columnOf, typeOfOutput } from './aggregates.ts';
import type { Aggregation, Filter, Output } from './query.ts';
import type { ColumnType, Table } from './table.ts';

export const FILTERS_MAX = 50;
export const FILTER_VALUES_MAX = 1_000;

export function checkOutput(output: Output, table: Table): void {
  const column = columnOf(output);
  if ('count' in output) {
    if (column !== '*') typeOf(column, table);
  } else if ('countDistinct' in output) {
    typeWithEquality('aggregate', column, table);
  } else {
    const type = typeOf(column, table);
    if (type === 'json') refuse(`aggregate: '${column}' is json, which has no order`);
    if (('sum' in output || 'average' in output) && type !== 'integer')
      refuse(`aggregate: '${column}' is ${type}; sums are exact, so of integer columns only`);
  }
}

/** As a filter of a table whose columns are the outputs. */
export function checkHaving(filter: Filter, { columns }: Aggregation, table: Table): void {
  const output = Object.hasOwn(columns, filter.column) ? columns[filter.column] : undefined;
  if (output === undefined)
    refuse(
      `having: '${filter.column.slice(0, 60)}' is not an output column; they are ${Object.keys(columns).join(', ')}`,
    );
  const type = typeOfOutput(output, table);
  const asColumn = { ...table, columns: { [filter.column]: type === 'sum' ? 'integer' : type } } as const;
  checkFilter(filter, asColumn);
}

export function typeWithEquality(part: string, column: string, table: Table): ColumnType {
  const type = typeOf(column, table);
  if (type === 'json' || type === 'real')
    refuse(`${part}: '${column}' is ${type}, which has no exact equality`);
  return type;
}

export function checkFilter(filter: Filter, table: Table): void {
  const type = typeOf(filter.column, table);
  const { column, op } = filter;
  switch (op) {
    case 'is-null':
    case 'is-not-null':
      return;
    case 'prefix':
      if (type !== 'text') refuse(`where: '${column}' is ${type}; prefix is for text`);
      checkValue(column, type, filter.value);
      return;
    case 'in':
      if (filter.value.length > FILTER_VALUES_MAX) {
        refuse(`where: at most ${FILTER_VALUES_MAX} values for '${column}', got ${filter.value.length}`);
      }
      for (const value of filter.value) checkValue(column, type, value);
      return;
    case '=':
    case '<>':
    case '<':
    case '<=':
    case '>':
    case '>=':
      checkValue(column, type, filter.value);
      return;
    default:
      refuse(`where: there is no operator '${op satisfies never}'`);
  }
}

function checkValue(column: string, type: ColumnType, value: unknown): void {
  if (type === 'json') refuse(`where: '${column}' is json; only is-null and is-not-null are for json`);
  if (type === 'text') {
    if (typeof value !== 'string') refuse(`where: expected text for '${column}', got ${typeof value}`);
    // A lone surrogate has no UTF-8 form: the database would compare another character.
    if (!value.isWellFormed()) refuse(`where: the text for '${column}' is not well-formed Unicode`);
  } else if (!Number.isFinite(value)) {
    refuse(`where: expected a finite number for '${column}', got ${typeof value}`);
  }
}

export function typeOf(column: string, table: Table): ColumnType {
  const type = Object.hasOwn(table.columns, column) ? table.columns[column] : undefined;
  if (type === undefined) {
    refuse(
      `'${table.name}' has no column '${column.slice(0, 60)}'; it has ${Object.keys(table.columns).join(', ')}`,
    );
  }
  return type;
}

export function refuse(reason: string): never {
  throw new CardumeError('query-refused', reason);
}
