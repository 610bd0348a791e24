import HTTPServer
import JobCore
import Testing
import Yams

@testable import JobServer

/// `openapi.yaml` and the program say the same.
@Suite struct OpenAPITests {
  private let document: JSONTree

  init() throws {
    document = try JSONTree(OpenAPIDocument.json)
  }

  private static let methods = HTTPMethod.allCases.map { $0.rawValue.lowercased() }

  @Test func `every route is described and nothing else is`() {
    var described: Set<String> = []
    for (path, item) in document["paths"]?.members ?? [:] {
      for method in Self.methods {
        guard let operation = item[method] else { continue }
        described.insert("\(method) \(path) \(operation["operationId"]?.string ?? "")")
      }
    }
    let served = Operation.all.map {
      "\($0.method.rawValue.lowercased()) \($0.template) \($0.name)"
    }
    #expect(Set(served) == described)
    #expect(Set(Operation.all.map(\.name)).count == served.count, "names are unique")
    // Two routes for one method and path stop the program here.
    _ = Router(
      Operation.all.map { Route($0.method, $0.template, name: $0.name) { _, _ in .now(.empty()) } })
  }

  @Test func `the parameters of a path are declared`() {
    for operation in Operation.all {
      let item = document.at("paths", operation.template)
      let declared = (item?["parameters"]?.elements ?? []).compactMap {
        $0["$ref"]?.string?.split(separator: "/").last.map { "{\($0)}" }
      }
      let used = operation.template.split(separator: "/").filter { $0.hasPrefix("{") }.map(
        String.init)
      #expect(declared == used, "\(operation.template)")
    }
  }

  @Test func `every reference leads somewhere and every component is used`() {
    var used: Set<String> = []
    document.visit { place, value in
      guard let reference = value["$ref"]?.string else { return }
      used.insert(reference)
      let names = reference.split(separator: "/").map(String.init)
      let target = names.dropFirst().reduce(document as JSONTree?) { $0?[$1] }
      #expect(names.first == "#" && target != nil, "\(place) refers to \(reference)")
    }
    // Nothing refers to a security scheme: it is named by `security`.
    for (kind, components) in document["components"]?.members ?? [:] where kind != "securitySchemes"
    {
      for name in components.members.keys {
        #expect(used.contains("#/components/\(kind)/\(name)"), "nothing refers to \(kind)/\(name)")
      }
    }
  }

  @Test func `every operation says who is let in`() {
    let scheme = document.at("components", "securitySchemes", "bearer")
    #expect(scheme?["type"] == .string("http") && scheme?["scheme"] == .string("bearer"))
    // With a token or, where the service has none, without.
    #expect(document["security"] == .array([.object([:]), .object(["bearer": .array([])])]))
    for operation in Operation.all {
      let method = operation.method.rawValue.lowercased()
      let described = document.at("paths", operation.template, method)
      let place = "\(method) \(operation.template)"
      #expect(described?["security"] == (operation.isPublic ? .array([]) : nil), "\(place)")
      func response(_ status: String) -> String? {
        described?.at("responses", status, "$ref")?.string
      }
      let unauthorized = "#/components/responses/Unauthorized"
      #expect(response("401") == (operation.isPublic ? nil : unauthorized), "\(place)")
      #expect(response("403") == "#/components/responses/Forbidden", "\(place)")
    }
  }

  @Test func `the codes of problems are those of the program`() {
    let listed = words(document.at("components", "schemas", "Problem", "properties", "code"))
    #expect(Set(listed) == Set(Problem.Code.allCases.map(\.rawValue)))
    #expect(Set(listed).count == listed.count)
  }

  @Test func `the codes of a failed job are those of the program`() {
    let listed = words(document.at("components", "schemas", "JobError", "properties", "code"))
    #expect(Set(listed) == Set(JobError.Code.allCases.map(\.rawValue)))
  }

  @Test func `states and choices are those of the program`() {
    let schemas = document.at("components", "schemas")
    #expect(words(schemas?["State"]) == JobState.allCases.map(\.rawValue))
    let choices = schemas?.at("Submission", "properties", "on_interrupt")
    #expect(words(choices) == OnInterrupt.allCases.map(\.rawValue))
  }

  @Test func `the bounds of a submission are those of its reader`() {
    let members = document.at("components", "schemas", "Submission", "properties")
    func bound(_ member: String, _ name: String) -> JSONTree? { members?.at(member, name) }
    #expect(bound("task", "maxLength") == .number("\(SubmissionReader.taskLengthMax)"))
    #expect(bound("tags", "maxItems") == .number("\(SubmissionReader.tagsMax)"))
    #expect(
      members?.at("tags", "items", "maxLength") == .number("\(SubmissionReader.tagLengthMax)"))
    #expect(bound("max_attempts", "maximum") == .number("\(SubmissionReader.attemptsMax)"))
    #expect(bound("timeout", "maximum") == .number("\(Int(SubmissionReader.timeoutMax))"))
    let grace = document.at("components", "schemas", "CancelRequest", "properties", "grace")
    #expect(grace?["maximum"] == .number("\(Int(CancelReader.graceMax))"))
    #expect(grace?["default"] == .number("\(CancelReader.graceDefault / 1_000)"))
    let limit = document.at("paths", "/v1/jobs", "get", "parameters")?.elements
      .first { $0["name"] == .string("limit") }
    #expect(limit?.at("schema", "maximum") == .number("\(Server.pageMax)"))
    #expect(limit?.at("schema", "default") == .number("\(Server.pageDefault)"))
  }

  @Test func `the bounds of many in one request are those of the program`() {
    let schemas = document.at("components", "schemas")
    let many = JSONTree.number("\(BulkReader.countMax)")
    #expect(schemas?.at("SubmissionList", "maxItems") == many)
    #expect(schemas?.at("JobGroup", "properties", "jobs", "maxItems") == many)
    let ids = document.at("paths", "/v1/jobs", "get", "parameters")?.elements
      .first { $0["name"] == .string("id") }
    #expect(ids?.at("schema", "maxItems") == .number("\(Server.idsMax)"))
    let forms = document.at("paths", "/v1/jobs", "post", "requestBody", "content")?.members
    #expect(Set((forms ?? [:]).keys) == ["application/json", MediaType.lines])
  }

  @Test func `the version is that of the program`() {
    #expect(document.at("info", "version") == .string(Server.version))
  }

  /// YAML has words that some readers take for booleans, numbers or dates: where another reader
  /// sees something else than this program, the document is to be written more plainly.
  @Test func `JSON and YAML say the same`() throws {
    let text = String(decoding: OpenAPIDocument.yaml, as: UTF8.self)
    let loaded = try #require(try Yams.load(yaml: text))
    expectSame(document, loaded, at: "#")
    #expect(document["openapi"] == .string("3.1.0"))
    #expect(
      document.at("components", "headers", "IdempotentReplayed", "schema", "const")
        == .string("true"))
    #expect(document.at("components", "headers", "ETag", "required") == .bool(true))
  }

  private func expectSame(_ tree: JSONTree, _ loaded: Any, at place: String) {
    switch tree {
    case .null: #expect("\(type(of: loaded))" == "NSNull", "\(place): \(loaded)")
    case .bool(let value): #expect(loaded as? Bool == value, "\(place): \(loaded)")
    case .number(let text):
      #expect(loaded as? Int == Int(text) || loaded as? Double == Double(text), "\(place)")
    case .string(let text): #expect(loaded as? String == text, "\(place): \(loaded)")
    case .array(let elements):
      let others = loaded as? [Any] ?? []
      #expect(others.count == elements.count, "\(place)")
      for (index, (element, other)) in zip(elements, others).enumerated() {
        expectSame(element, other, at: "\(place)/\(index)")
      }
    case .object(let members):
      let others = loaded as? [String: Any] ?? [:]
      #expect(Set(others.keys) == Set(members.keys), "\(place)")
      for (name, value) in members {
        if let other = others[name] { expectSame(value, other, at: "\(place)/\(name)") }
      }
    }
  }

  private func words(_ schema: JSONTree?) -> [String] {
    (schema?["enum"]?.elements ?? []).compactMap(\.string)
  }
}
