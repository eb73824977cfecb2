// The page /docs, made of openapi.json.

function text(name, content) {
  return Object.assign(document.createElement(name), { textContent: content });
}

function route(path, method, operation) {
  const details = document.createElement("details"), summary = document.createElement("summary");
  summary.append(text("code", `${method.toUpperCase()} ${path}`), operation.summary || "");
  details.append(summary);
  if (operation.description) details.append(text("p", operation.description));
  for (const one of operation.parameters || []) {
    details.append(text("p", `${one.name} (${one.in}): ${one.description || one.schema.type || ""}`));
  }
  for (const [type, { schema }] of Object.entries(operation.requestBody?.content || {})) {
    details.append(text("p", `Body: ${type}`));
    if (type === "application/json") details.append(text("pre", JSON.stringify(schema, null, 1)));
  }
  details.append(text("pre", example(path, method, operation)));
  return details;
}

function example(path, method, operation) {
  const address = location.origin + path.replace("{name}", "NAME"), types = operation.requestBody?.content || {};
  if (types["image/*"]) return `curl --data-binary @image.png ${address}`;
  if (types["application/json"]) return `curl --json '{...}' ${address}`;
  return `curl ${method === "post" ? "--json '{...}' " : ""}${address}`;
}

const { paths } = await (await fetch("/openapi.json")).json();
for (const [path, methods] of Object.entries(paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    document.getElementById("routes").append(route(path, method, operation));
  }
}
