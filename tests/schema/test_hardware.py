from recipe_schema.sections.hardware import Launch, processes_of


def test_the_processes_of_all_machines_train_together():
    assert processes_of(Launch(processes=4, machines=2, strategy="ddp")) == 8
