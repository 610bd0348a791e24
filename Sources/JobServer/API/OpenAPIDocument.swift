import Glibc
import JSON
import Reactor
import Yams

/// The description of the API, from `openapi/openapi.yaml` as it was when this program was built.
enum OpenAPIDocument {
  /// The document as it stands in the repository.
  static var yaml: [UInt8] { PackageResources.openapi_yaml }

  /// Makes the JSON in a thread of its own, which ends with that: it takes some 20 ms, which
  /// neither the start nor a turn of the loop has. Who asks for it earlier waits for the rest.
  static func prepare() {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    // Signals are the loop's.
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let make: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { _ in
      _ = OpenAPIDocument.json
      // Of the thousands of pieces that the YAML was, nothing is needed any more.
      SystemMemory.giveBack()
      return nil
    }
    guard pthread_create(&thread, nil, make, nil) == 0 else {
      _ = json
      return
    }
    pthread_detach(thread)
  }

  /// The same as JSON: made at its first use (see `prepare`) and kept.
  static let json: [UInt8] = {
    var writer = JSONWriter(capacity: 65_536)
    do {
      guard let root = try Yams.compose(yaml: String(decoding: yaml, as: UTF8.self)) else {
        preconditionFailure("openapi.yaml is empty")
      }
      write(root, to: &writer)
    } catch {
      // A test parses the document; a build that cannot is not released.
      preconditionFailure("openapi.yaml is not YAML: \(error)")
    }
    return writer.bytes
  }()

  /// A value of any YAML as JSON text; nil for one that refers to another.
  static func json(of node: Node) -> String? {
    guard !refers(node) else { return nil }
    var writer = JSONWriter(capacity: 64)
    write(node, to: &writer)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  private static func refers(_ node: Node) -> Bool {
    switch node {
    case .mapping(let mapping): mapping.contains { refers($0.value) }
    case .sequence(let sequence): sequence.contains(where: refers)
    case .scalar: false
    case .alias: true
    }
  }

  private static func write(_ node: Node, to writer: inout JSONWriter) {
    switch node {
    case .mapping(let mapping):
      writer.beginObject()
      for (key, value) in mapping {
        writer.name(key.scalar?.string ?? "")
        write(value, to: &writer)
      }
      writer.endObject()
    case .sequence(let sequence):
      writer.beginArray()
      for item in sequence { write(item, to: &writer) }
      writer.endArray()
    case .scalar(let scalar): write(scalar, of: node, to: &writer)
    case .alias: preconditionFailure("openapi.yaml uses no aliases")
    }
  }

  /// A plain scalar is what YAML's core schema makes of it; a quoted one is a string.
  private static func write(_ scalar: Node.Scalar, of node: Node, to writer: inout JSONWriter) {
    guard scalar.style == .plain || scalar.style == .any else {
      writer.string(scalar.string)
      return
    }
    if scalar.string == "true" || scalar.string == "false" {
      writer.bool(scalar.string == "true")
    } else if scalar.string == "null" || scalar.string == "~" || scalar.string.isEmpty {
      writer.null()
    } else if isNumber(scalar.string) {
      writer.text(scalar.string)
    } else {
      writer.string(scalar.string)
    }
  }

  /// Whether a plain scalar is a number that JSON writes the same way.
  private static func isNumber(_ text: String) -> Bool {
    (try? JSONReader.read(text) { (json) throws(JSONError) in _ = try json.readNumberText() })
      != nil
  }
}
