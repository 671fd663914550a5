"use strict";
// "Try it out" goes to the host that served this page, whatever name or proxy
// it is reached by; the key stays in the page's memory.
fetch("/openapi.json").then((answer) => answer.json()).then((spec) => {
  spec.servers = [{ url: location.origin, description: "This service." }];
  SwaggerUIBundle({
    spec,
    dom_id: "#swagger-ui",
    deepLinking: true,
    persistAuthorization: false,
    validatorUrl: null,
  });
});
