import Lido

/// The program `lido`: the service with the built-in tasks.
@main
enum Command {
  static func main() {
    Lido.main(tasks: BuiltInTasks.all)
  }
}
