export default function Page() {
  return <h1>Hello from next</h1>;
}
