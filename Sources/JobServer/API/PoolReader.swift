import JSON
import JobCore
import Multiprocessing

/// Reads the bodies of `POST /v1/pools` and `PATCH /v1/pools/{name}`, as strictly as a submission:
/// unknown and repeated members are refused, `null` is the same as leaving the member out.
struct PoolReader {
  private enum Member: String, CaseIterable {
    case name, template, processes, initializer, initargs, maxtasksperchild, main, paused
    case startMethod = "start_method"
    case allowPickle = "allow_pickle"
    case idleTimeout = "idle_timeout"
  }

  /// What a PATCH can change.
  struct Change {
    var processes: Int?
    var isPaused: Bool?
  }

  /// Most bytes of the arguments of an initializer: each worker gets them.
  static let initargsBytesMax = 1 << 20
  private static let textBytesMax = 4_096
  private static let callsMax = 1_000_000_000
  /// The shortest and the longest time without a request, in seconds.
  private static let idleTimeouts = 0.1...31_536_000.0
  private static let changes: [Member] = [.processes, .paused]

  private let isChange: Bool
  private let processesMax: Int
  private var specification = PoolSpecification(template: "", processes: 0)
  private var change = Change()
  private var seen: Set<String> = []
  private var place = ""
  private var problem: Problem?

  private init(isChange: Bool, processesMax: Int) {
    self.isChange = isChange
    self.processesMax = processesMax
  }

  /// What a client asks for, with what it left out taken over from the configured pool that it
  /// names. An empty body leaves everything out.
  ///
  /// - Parameter initializers: those that this program was written with.
  static func specification(
    of body: [UInt8], idempotencyKey key: String?, _ settings: Settings,
    initializers: Set<String>
  ) throws(Problem) -> PoolSpecification {
    var reader = PoolReader(
      isChange: false, processesMax: settings.limits.poolProcessesMax)
    if !body.isEmpty { try reader.read(body) }
    let template = try reader.template(settings)
    try reader.check(template, settings)
    try reader.checkInitializer(template, known: initializers)
    var specification = reader.specification
    specification.template = template.name
    if !reader.seen.contains("processes") {
      specification.processes = min(
        template.processes ?? CPUCount.usable, settings.limits.poolProcessesMax)
    }
    if !reader.seen.contains("maxtasksperchild") {
      specification.callsPerWorkerMax = template.maxTasksPerChild
    }
    specification.idempotencyKey = key
    return specification
  }

  /// What of a pool is to be another.
  ///
  /// - Parameter configured: the workers that it is configured with, which it may have in any case.
  static func change(
    of body: [UInt8], _ limits: Limits, configured: Int
  ) throws(Problem) -> Change {
    var reader = PoolReader(
      isChange: true, processesMax: max(limits.poolProcessesMax, configured))
    try reader.read(body)
    return reader.change
  }

  // MARK: Members

  private mutating func read(_ body: [UInt8]) throws(Problem) {
    do {
      try JSONReader.read(body) { (json) throws(JSONError) in try readObject(&json) }
    } catch {
      throw problem ?? .invalid("the body is not the JSON that is expected: \(error)", at: "")
    }
    if let problem { throw problem }
  }

  private mutating func readObject(_ json: inout JSONReader) throws(JSONError) {
    guard try json.kind() == .object else {
      let example = isChange ? #"{"processes":4}"# : #"{"template":"default","processes":4}"#
      return refuse("the body is an object like \(example)", at: "")
    }
    let known = isChange ? PoolReader.changes : Member.allCases.filter { $0 != .paused }
    try json.beginObject()
    while problem == nil, let name = try json.nextMember() {
      guard let member = Member(rawValue: name), known.contains(member) else {
        let names = known.map(\.rawValue).joined(separator: ", ")
        return refuse("unknown member; the members are: \(names)", at: JSONPointer.member(name))
      }
      place = "/" + name
      guard seen.insert(name).inserted else {
        return refuse("the member stands here twice", at: place)
      }
      do {
        try readValue(of: member, &json)
      } catch {
        // A value of the wrong kind is a mistake at its place; anything else is not JSON at all.
        switch error.reason {
        case .wrongType, .numberOutOfRange, .tooDeep: refuse("\(error)", at: place)
        default: break
        }
        throw error
      }
    }
  }

  private mutating func readValue(
    of member: Member, _ json: inout JSONReader
  ) throws(JSONError) {
    guard try json.kind() != .null else {
      seen.remove(member.rawValue)
      return try json.readNull()
    }
    switch member {
    case .name: try readName(&json)
    case .template: specification.template = try json.readString()
    case .processes:
      let number = try wholeNumber(&json, upTo: processesMax)
      specification.processes = number ?? 0
      change.processes = number
    case .initializer: specification.initializer = try text(&json)
    case .initargs:
      guard try json.kind() == .array else { return refuse("initargs is an array", at: place) }
      specification.initializerArguments = try json.readText()
      if specification.initializerArguments.utf8.count > PoolReader.initargsBytesMax {
        refuse("at most \(PoolReader.initargsBytesMax) bytes", at: place)
      }
    case .maxtasksperchild:
      // As the setting has it: after 0 calls is never.
      let number = try wholeNumber(&json, from: 0, upTo: PoolReader.callsMax)
      specification.callsPerWorkerMax = number == 0 ? nil : number
    case .main:
      specification.main = try text(&json)
      if specification.main?.hasPrefix("/") != true {
        refuse("the whole path of a script", at: place)
      }
    case .paused: change.isPaused = try json.readBool()
    case .startMethod:
      let text = try json.readString()
      guard let method = StartMethod(rawValue: text), method != .fork else {
        return refuse("\"forkserver\" or \"spawn\"", at: place)
      }
      specification.startMethod = text
    case .allowPickle: specification.allowsPickle = try json.readBool()
    case .idleTimeout: try readIdleTimeout(&json)
    }
  }

  private mutating func readName(_ json: inout JSONReader) throws(JSONError) {
    specification.name = try json.readString()
    if !Settings.Pool.isName(specification.name) {
      refuse("a pool's name is 1 to 64 of A-Z a-z 0-9 . _ - and not . or ..", at: place)
    }
  }

  private mutating func readIdleTimeout(_ json: inout JSONReader) throws(JSONError) {
    let seconds = try json.readDouble()
    guard PoolReader.idleTimeouts.contains(seconds) else {
      let range = PoolReader.idleTimeouts
      return refuse("seconds, from \(range.lowerBound) to \(range.upperBound)", at: place)
    }
    specification.idleTimeout = Milliseconds((seconds * 1_000).rounded())
  }

  /// A whole number however it is written.
  private mutating func wholeNumber(
    _ json: inout JSONReader, from least: Int = 1, upTo most: Int
  ) throws(JSONError) -> Int? {
    let number = try json.readDouble()
    guard number >= Double(least), number <= Double(most), number == number.rounded() else {
      refuse("a whole number from \(least) to \(most)", at: place)
      return nil
    }
    return Int(number)
  }

  private mutating func text(_ json: inout JSONReader) throws(JSONError) -> String {
    let text = try json.readString()
    if text.isEmpty || text.utf8.count > PoolReader.textBytesMax || text.utf8.contains(0) {
      refuse("1 to \(PoolReader.textBytesMax) bytes, none of them 0", at: place)
    }
    return text
  }

  private mutating func refuse(_ detail: String, at pointer: String) {
    if problem == nil { problem = .invalid(detail, at: pointer) }
  }

  // MARK: The whole

  /// The configured pool that is meant: `default`, or the only one, unless it is named.
  private func template(_ settings: Settings) throws(Problem) -> Settings.Pool {
    if seen.contains("template") {
      let name = specification.template
      if let pool = settings.pools.first(where: { $0.name == name }) { return pool }
      throw Problem(
        status: 422, code: .unknownPool,
        detail: "no pool named '\(name)' is configured; GET /v1/pools lists them",
        mistakes: [.init(detail: "not a configured pool", pointer: "/template")])
    }
    if let pool = settings.pools.first(where: { $0.name == "default" }) { return pool }
    if let pool = settings.pools.first, settings.pools.count == 1 { return pool }
    throw Problem.invalid(
      "several pools are configured and none is named 'default': name one", at: "/template")
  }

  /// Refuses what workers of this kind do not have, and what their configuration does not allow.
  private func check(_ template: Settings.Pool, _ settings: Settings) throws(Problem) {
    let name = template.name
    if specification.startMethod != nil, template.worker != nil || template.runsPrograms {
      throw Problem.invalid(
        "the workers of '\(name)' are programs, which have no start method", at: "/start_method")
    }
    if specification.main != nil, template.worker == nil {
      throw Problem.invalid("the workers of '\(name)' load no script", at: "/main")
    }
    if specification.main != nil, template.worker?.allowsMain != true {
      throw JobAnswers.mainNotAllowed(name)
    }
    let allowsPickle = template.worker?.allowsPickle == true && settings.allowsPickle
    if specification.allowsPickle, !allowsPickle {
      throw JobAnswers.pickleNotAllowed(name, at: "/allow_pickle")
    }
  }

  /// Refuses an initializer that no worker of the template could run. What those of another program
  /// have, only they know.
  private func checkInitializer(
    _ template: Settings.Pool, known: Set<String>
  ) throws(Problem) {
    for member in ["initializer", "initargs"] where seen.contains(member) && template.runsPrograms {
      throw Problem.invalid(
        "the jobs of '\(template.name)' are programs: nothing runs before them", at: "/\(member)")
    }
    guard let name = specification.initializer else {
      guard seen.contains("initargs") else { return }
      throw Problem.invalid("these arguments have no initializer", at: "/initargs")
    }
    if template.worker == nil, !known.contains(name) {
      throw PoolAnswers.unknownInitializer(name, known: known)
    }
  }
}
