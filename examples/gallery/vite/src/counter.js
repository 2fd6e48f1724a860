export function next(count) {
  return count + 1;
}
